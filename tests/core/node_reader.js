// Where Node's llhttp, strict, ends heads and messages: a line of JSON in, a line of JSON out. Every message has a parser of
// its own, so that neither an upgrade nor `Connection: close` ends the reading.
'use strict';
const { HTTPParser } = require('_http_common');
const NO_LIMIT = 1 << 26;

function readOne(type, bytes, start, headOnly) {
  const parser = new HTTPParser();
  parser.initialize(type, {}, NO_LIMIT, 0);
  const seen = { heads: 0, ends: 0, body: 0, status: 0 };
  parser[HTTPParser.kOnHeaders] = () => {};
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, headers, method, url, status) => {
    seen.heads += 1;
    seen.status = status || 0;
    return headOnly ? 1 : 0;
  };
  parser[HTTPParser.kOnBody] = (data) => { seen.body += data.length; };
  parser[HTTPParser.kOnMessageComplete] = () => { seen.ends += 1; };
  const message = { head_end: 0, status: 0, body: 0, end: null };
  for (let place = start; place < bytes.length; place += 1) {
    const result = parser.execute(bytes.subarray(place, place + 1));
    if (seen.heads && !message.head_end) {
      message.head_end = place + 1;
      message.status = seen.status;
      if (seen.status === 101) { message.end = place + 1; return [message, '', place]; }
    }
    message.body = seen.body;
    if (seen.ends) { message.end = place + 1; return [message, '', place]; }
    if (result instanceof Error) return [message, result.reason || result.code, place];
  }
  parser.finish();
  if (seen.ends) message.end = bytes.length;
  return [message, '', bytes.length];
}

function read(type, hex, methods) {
  const bytes = Buffer.from(hex, 'hex');
  const reading = { messages: [], stop: '', place: 0 };
  const left = methods === null ? null : [...methods];
  let place = 0;
  while (place < bytes.length) {
    if (left !== null && left.length === 0) { reading.stop = 'unasked'; break; }
    const asked = left === null ? '' : left[0];
    const [message, stop, stopped] = readOne(type, bytes, place, asked === 'HEAD');
    const interim = message.status >= 100 && message.status < 200 && message.status !== 101;
    const leaves = message.status === 101 || (asked === 'CONNECT' && message.status >= 200 && message.status < 300);
    if (message.head_end && leaves) message.end = message.head_end;
    if (message.head_end && !interim) reading.messages.push(message);
    if (leaves) { reading.stop = 'leaves HTTP'; break; }
    if (stop) { reading.stop = stop; reading.place = stopped; break; }
    if (message.end === null) break;
    place = message.end;
    if (left !== null && !interim) left.shift();
  }
  return reading;
}

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { client, server, methods } = JSON.parse(line);
  const readings = [read(HTTPParser.REQUEST, client, null), read(HTTPParser.RESPONSE, server, methods)];
  process.stdout.write(JSON.stringify(readings) + '\n');
});
