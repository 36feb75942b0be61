export function median(values) {
  return quantile(values, 0.5);
}

/** The lower and the upper, between which half of the values are. */
export function quartiles(values) {
  return [quantile(values, 0.25), quantile(values, 0.75)];
}

export function extremes(values) {
  return [Math.min(...values), Math.max(...values)];
}

/**
 * What the rounds of one measurement say: medians of every figure, and the ratio of `rate` to that of the
 * first application, taken within each round, with the two ends of its spread.
 */
export function summary(rounds, baseline, spread = extremes) {
  const figures = {};
  for (const key of Object.keys(rounds[0])) figures[key] = median(rounds.map((round) => round[key]));
  const pairs = rounds.map((round, i) => round.rate / baseline[i]?.rate).filter(Number.isFinite);
  if (pairs.length === 0) return figures;
  const [low, high] = spread(pairs);
  return { ...figures, ratio: median(pairs), low, high };
}

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return below + (above - below) * (at % 1);
}
