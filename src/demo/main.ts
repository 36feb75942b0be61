import { createApp } from 'coequal';
import { floor } from './floor.js';

const port = Number(process.env['PORT'] ?? 3000);

try {
  const { url } = await createApp(floor).listen({ port, signals: true });
  console.log(`The trading floor is open: ${url}`);
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
  console.error(`Port ${port} is taken. Choose another: PORT=${port + 1} npm start`);
  process.exit(1);
}
