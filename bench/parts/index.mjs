import { broadcast } from './broadcast.mjs';
import { echo } from './echo.mjs';
import { growth } from './growth.mjs';
import { http } from './http.mjs';
import { idle } from './idle.mjs';
import { realistic } from './realistic.mjs';

/** In the order in which they are measured and reported. */
export const parts = { realistic, http, echo, broadcast, idle, growth };
