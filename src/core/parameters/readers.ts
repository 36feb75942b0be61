import type { Readable } from 'node:stream';
import { isFormRequest, readBody, type BodyForm } from '../input/body.js';
import type { Kind } from '../exchange/context.js';
import {
  convertList,
  convertTo,
  InvalidInput,
  isSchema,
  validateBy,
  type Conversion,
  type Schema,
} from '../input/convert.js';
import { ConfigurationError, HttpError } from '../base/errors.js';
import {
  declaredTypes,
  type ParameterMetadata,
  type ParameterSite,
  type Reader,
} from '../routing/metadata.js';
import { Multipart } from '../input/multipart.js';
import { isForm, isList, wrongArgument, wrongType } from './input-types.js';
import { isThenable } from '../base/promises.js';
import { schemaOf, type Validator } from './validator.js';

/** One parameter of a method in one kind: how it is read, and how often. */
export interface BoundParameter {
  readonly read: Reader;
  /** `head`: once, before the head. `call`: for each message or call. `body`: from the message. `outlet`: what has opened. */
  readonly from: 'head' | 'call' | 'body' | 'outlet';
  /** Whether it is the socket, of which the method may ask for messages. */
  readonly isSocket: boolean;
  /** The declared or given type, for the codec. */
  readonly type: unknown;
  /** Converts or validates each message of a loop over the socket. */
  readonly message: Conversion | undefined;
}

const BYTES: ReadonlySet<unknown> = new Set([Buffer, Uint8Array]);

/** Whether a type asks for bytes as they came. */
export function isBytes(type: unknown): boolean {
  return BYTES.has(type);
}

/**
 * Binds the parameters of a method for one kind.
 * `validator` checks what is declared as a class.
 * @throws ConfigurationError for what has no meaning there, naming class, method, position and remedy.
 */
export function bindParameters(
  parameters: ReadonlyMap<number, ParameterMetadata>,
  site: Omit<ParameterSite, 'index'>,
  validator: Validator | undefined,
): BoundParameter[] {
  const { controller, method } = site;
  const declared = declaredTypes(controller, method);
  refuseTwoBodies(parameters, site);
  const { length } = (controller.prototype as Record<string, () => unknown>)[method] ?? { length: 0 };
  const count = Math.max(length, ...[...parameters.keys()].map((index) => index + 1));
  return Array.from({ length: count }, (_, index) => {
    const metadata = parameters.get(index);
    const at = { ...site, index };
    if (metadata === undefined) {
      throw mistake(at, 'has no decorator: add one that gives its value, such as @Ctx() or @Param(…)');
    }
    return bind(metadata, at, declared, validator);
  });
}

function bind(
  metadata: ParameterMetadata,
  site: ParameterSite,
  declared: readonly unknown[] | undefined,
  validator: Validator | undefined,
): BoundParameter {
  const call = `@${metadata.name}(${metadata.args.map(show).join(', ')})`;
  const kind: Kind = site.kind === 'rpc' ? 'websocket' : site.kind;
  const body = metadata.takes === 'body' && hasBody(site);
  if (metadata.kinds !== undefined && !metadata.kinds.includes(kind) && !body) {
    const works = `it works in ${metadata.kinds.map((k) => LABELS[k]).join(' and ')}`;
    const remedy = metadata.takes === 'body' ? ", and with @Sse(path, { method: 'POST' })" : '';
    throw mistake(site, `is ${call}, which has no meaning in ${LABELS[kind]}: ${works}${remedy}`);
  }
  if (metadata.takes === 'socket' && site.kind === 'rpc') {
    throw mistake(
      site,
      `is ${call}, which has no meaning in a call: take @Connection() to send to its socket`,
    );
  }
  const wrong = metadata.check?.(site, ...metadata.args);
  if (wrong !== undefined) throw mistake(site, `is ${call}, but ${wrong}`);
  const formed = metadata.input || metadata.takes === 'socket';
  const whole = metadata.named && typeof metadata.args[0] !== 'string';
  // A class that the validator knows stands for its schema; a field by name is a text, of which no class is made.
  const validated = (type: unknown, text = metadata.named): Schema | undefined =>
    formed && (whole || !metadata.named) ? schemaOf(validator, type, text) : undefined;
  const args = metadata.args.map((arg) => validated(arg) ?? arg);
  const refused = formed ? wrongArgument({ ...metadata, args }) : undefined;
  if (refused !== undefined) throw mistake(site, `is ${call}, but ${refused}`);
  const position = args.findIndex(isForm);
  const source = position === -1 ? declared?.[site.index] : metadata.args[position];
  const given = position !== -1 ? args[position] : metadata.input ? validated(source) : undefined;
  if (metadata.input && given === undefined && !whole && declared === undefined) {
    throw mistake(
      site,
      `is ${call}, but the compiler emitted no type for it. Compile with tsc and "emitDecoratorMetadata": true ` +
        '(tsx, esbuild and type stripping emit none), or give the type or a schema: ' +
        `@${metadata.name}(${[...metadata.args.map(show), 'String'].join(', ')})`,
    );
  }
  if (metadata.input && (given === undefined || (whole && metadata.named && !isSchema(given)))) {
    const unusable = wrongType(metadata, given ?? declared?.[site.index], whole);
    if (unusable !== undefined) throw mistake(site, `is ${call}, but ${unusable}`);
  }
  const type = given !== undefined && !isSchema(given) ? given : declared?.[site.index];
  if (type === Multipart && site.kind !== 'http') {
    throw mistake(site, `is ${call} of a Multipart, which only a request has: take forms in a @Post method`);
  }
  const convert = metadata.input
    ? conversion(metadata, given, whole ? undefined : type, declared?.[site.index])
    : undefined;
  const isSocket = metadata.takes === 'socket';
  const message = isSocket && given !== undefined ? conversion(metadata, given, type, undefined) : undefined;
  // The same class, of which a form has nothing but texts.
  const ofForm = validated(source, true);
  const convertForm = ofForm === undefined ? convert : conversion(metadata, ofForm, undefined, undefined);
  return {
    read: reader(metadata, site, type, convert, isSchema(given) ? convertForm : undefined),
    from: origin(metadata, site),
    isSocket,
    type,
    message,
  };
}

function origin({ takes, stable }: ParameterMetadata, site: ParameterSite): BoundParameter['from'] {
  if (takes === 'body') return 'body';
  if (takes !== undefined && site.kind !== 'sse') return 'outlet';
  return stable ? 'head' : 'call';
}

function conversion(
  { name, args, takes, named }: ParameterMetadata,
  given: unknown,
  type: unknown,
  declared: unknown,
): Conversion | undefined {
  const input = typeof args[0] === 'string' ? args[0] : '';
  const label =
    takes === 'socket'
      ? 'The message'
      : takes === 'body'
        ? 'The body'
        : input === ''
          ? `@${name}()`
          : `@${name}('${input}')`;
  // Of one text it cannot be seen whether it is a list of one: the type says it.
  const wrap = input !== '' && (isList(given) || declared === Array);
  const convert = isSchema(given)
    ? validateBy(given, label, input)
    : isList(given)
      ? convertList(given[0], label, input)
      : convertTo(type, label, input);
  if (convert === undefined) return undefined;
  if (wrap) return (value) => convert(listOf(value));
  return named && input !== '' && isSchema(given) ? orListOf(convert) : convert;
}

function reader(
  metadata: ParameterMetadata,
  site: ParameterSite,
  type: unknown,
  convert: Conversion | undefined,
  convertForm: Conversion | undefined,
): Reader {
  const source = metadata.takes === 'body' ? bodyReader(site, type) : plainReader(metadata);
  if (convert === undefined) return source;
  if (metadata.takes === 'body' && site.kind === 'http' && type !== Multipart && convertForm !== undefined) {
    return async (ctx, message) => {
      const body = await source(ctx, message);
      if (!isFormRequest(ctx.request)) return convert(body);
      return convertForm(body instanceof Multipart ? await body.fields() : body);
    };
  }
  return (ctx, message) => {
    const value = source(ctx, message);
    return isThenable(value) ? Promise.resolve(value).then(convert) : convert(value);
  };
}

function listOf(value: unknown): unknown {
  return value === undefined || Array.isArray(value) ? value : [value];
}

/** Where no type says that a schema wants a list: what it refuses as one text, and takes as a list of one, is a list. */
function orListOf(convert: Conversion): Conversion {
  const wrapped = async (value: unknown, refusal: unknown): Promise<unknown> => {
    if (!(refusal instanceof InvalidInput)) throw refusal;
    try {
      return await convert([value]);
    } catch (error) {
      throw error instanceof InvalidInput ? refusal : error;
    }
  };
  return (value) => {
    if (typeof value !== 'string') return convert(value);
    try {
      const result = convert(value);
      return isThenable(result)
        ? Promise.resolve(result).catch((error: unknown) => wrapped(value, error))
        : result;
    } catch (error) {
      return wrapped(value, error);
    }
  };
}

function plainReader({ read, args }: ParameterMetadata): Reader {
  const [first] = args;
  // Calls with as many arguments as there are: spreading them would cost each request.
  if (args.length === 0) return (ctx) => read(ctx);
  return args.length === 1 ? (ctx) => read(ctx, first) : (ctx) => read(ctx, ...args);
}

function bodyReader(site: ParameterSite, type: unknown): Reader {
  if (!hasBody(site)) return (_ctx, message) => message;
  const form: BodyForm = type === String ? 'text' : BYTES.has(type) ? 'bytes' : 'parsed';
  const read: Reader = (ctx) =>
    readBody(ctx.request, form as 'parsed', ctx.environment.limits.body) as Promise<unknown> | Readable;
  return type === Multipart ? async (ctx, message) => onlyMultipart(await read(ctx, message)) : read;
}

/** Whether it is the request that has the body, and not a message or a call. */
function hasBody({ kind, verb }: ParameterSite): boolean {
  return kind === 'http' || (kind === 'sse' && verb === 'POST');
}

function onlyMultipart(body: unknown): Multipart {
  if (body instanceof Multipart) return body;
  throw new HttpError(415, 'the body is to be multipart/form-data');
}

function show(arg: unknown): string {
  if (typeof arg === 'string') return `'${arg}'`;
  if (isSchema(arg)) return 'schema';
  if (Array.isArray(arg)) return `[${arg.map(show).join(', ')}]`;
  if (typeof arg === 'function') return arg.name;
  const { template, name } = (arg ?? {}) as { template?: string; name?: string };
  return template ?? name ?? String(arg);
}

/** One body is read once: two readers of it would each take it for their own. */
function refuseTwoBodies(
  parameters: ReadonlyMap<number, ParameterMetadata>,
  { controller, method }: Omit<ParameterSite, 'index'>,
): void {
  const bodies = [...parameters].filter(([, { takes }]) => takes === 'body').map(([index]) => index);
  if (bodies.length < 2) return;
  throw new ConfigurationError(
    `${controller.name}.${method}, parameters ${bodies.sort((a, b) => a - b).join(' and ')}, are all @Body(), ` +
      'but a request has one body: take it by one parameter, of a class or a schema that holds what they read',
    { code: 'INVALID_PARAMETER' },
  );
}

function mistake({ controller, method, index }: ParameterSite, what: string): ConfigurationError {
  return new ConfigurationError(`${controller.name}.${method}, parameter ${index}, ${what}`, {
    code: 'INVALID_PARAMETER',
  });
}

const LABELS: Record<Kind, string> = {
  http: 'an HTTP method',
  sse: 'an @Sse method',
  websocket: 'a @WebSocket method',
};
