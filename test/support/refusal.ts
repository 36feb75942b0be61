import { ConfigurationError, createApp, type AppOptions } from 'coequal';

/** What `createApp` says against the options. @throws Error if it takes them, or fails in another way. */
export function refusal(options: AppOptions | AppOptions['controllers']): string {
  try {
    createApp('controllers' in options ? options : { controllers: options, logger: false });
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
    throw error;
  }
  throw new Error('createApp took what it was to refuse');
}
