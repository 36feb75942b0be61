import { expect } from 'chai';
import * as coequal from 'coequal';
import * as classValidator from 'coequal/class-validator';
import * as testing from 'coequal/testing';

/** Each name that the package exports at run time, so that growth is a decision. */
const NAMES = {
  application: ['App', 'createApp'],
  classDecorators: ['Controller', 'UseMiddleware'],
  httpDecorators: ['All', 'Delete', 'Get', 'Head', 'Options', 'Patch', 'Post', 'Put'],
  methodDecorators: ['HttpCode', 'Rpc', 'Sse', 'Unguarded', 'WebSocket'],
  parameterDecorators: [
    'Attr',
    'Body',
    'Cookies',
    'Ctx',
    'Headers',
    'Param',
    'Query',
    'Signal',
    'User',
    'param',
  ],
  parameterDecoratorsAndTypes: ['Channel', 'Connection', 'Session', 'Socket'],
  body: ['Multipart'],
  context: ['ConfigurationError', 'Context', 'HttpError', 'attribute', 'connect'],
  live: ['Channels', 'Connections', 'conflate', 'defineChannel', 'event', 'sessions'],
};

describe('the public names', () => {
  it('of coequal are these and no others', () => {
    expect(Object.keys(coequal).sort()).to.deep.equal(Object.values(NAMES).flat().sort());
  });

  it('of coequal/class-validator are these and no others', () => {
    expect(Object.keys(classValidator)).to.deep.equal(['classValidator']);
  });

  it('of coequal/testing are these and no others', () => {
    expect(Object.keys(testing).sort()).to.deep.equal(['Refused', 'serve']);
  });
});
