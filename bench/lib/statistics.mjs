export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * What the rounds of one measurement say: medians of every figure, and the ratio of `rate` to that of the
 * first application, taken within each round, with the lowest and the highest.
 */
export function summary(rounds, baseline) {
  const figures = {};
  for (const key of Object.keys(rounds[0])) figures[key] = median(rounds.map((round) => round[key]));
  const pairs = rounds.map((round, i) => round.rate / baseline[i]?.rate).filter(Number.isFinite);
  if (pairs.length === 0) return figures;
  return { ...figures, ratio: median(pairs), low: Math.min(...pairs), high: Math.max(...pairs) };
}
