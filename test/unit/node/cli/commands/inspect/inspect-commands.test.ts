/** What `parley outbox`, `describe` and `bench` say, and whether a message would be taken. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { benchText } from '../../../../../../node/cli/commands/bench-command.ts'
import { describedText } from '../../../../../../node/cli/commands/inspect/describe-command.ts'
import { agoText, outboxText } from '../../../../../../node/cli/commands/inspect/outbox-command.ts'
import { createLatencies, figuresOf } from '../../../../../../node/control/handlers/run-bench.ts'
import { checkHasReceiver, notReceiving } from '../../../../../../node/control/handlers/run-send.ts'
import { isParleyError } from '../../../../../../protocols/errors.ts'

const PEER = '12D3KooWAbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefgh'

type Agents = Parameters<typeof checkHasReceiver>[0]
const agents = (...protocols: string[]): Agents =>
  [
    {
      peer: PEER,
      name: 'bank',
      record: { protocols: protocols.map((name) => ({ name, version: '1.0.0', methods: [] })) },
    },
  ] as unknown as Agents

test('a type that nobody takes is refused with the nearest one that somebody does', () => {
  const known = agents('message/order.placed', 'books')
  assert.doesNotThrow(() => checkHasReceiver(known, 'order.placed'))
  assert.doesNotThrow(() => checkHasReceiver(known, 'books'), 'a protocol is a capability too')
  assert.throws(
    () => checkHasReceiver(known, 'order.plaecd'),
    (error) =>
      isParleyError(error, 'COM004') &&
      /nobody receives messages of the type order\.plaecd/.test(error.message) &&
      /did you mean order\.placed\?.+--keep/.test(error.hint ?? ''),
  )
  assert.throws(
    () => checkHasReceiver(agents(), 'x'),
    (error) => isParleyError(error, 'COM004') && /nobody offers anything/.test(error.hint ?? ''),
  )
  assert.deepEqual(notReceiving(known, [PEER], 'order.placed'), [])
  assert.deepEqual(notReceiving(known, [PEER], 'books'), ['bank'], 'a protocol of that name receives no messages')
  assert.deepEqual(notReceiving(known, [], 'other'), [])
})

const entry = {
  key: 'o/x',
  messageId: '018bcfe5-6800-7196-9a9a-000000000001',
  type: 'order.placed',
  destination: PEER,
  name: '',
  guarantee: 'AT_LEAST_ONCE',
  sentAt: 0,
  waitsFor: 'retry' as const,
  attempts: 2,
  code: 'COM001',
  reason: 'the peer gave no sign of the message within 5000 ms',
  bytes: 10,
}

test('the outbox fits 80 columns, and says why and since when; whole ids with --wide', () => {
  const view = { messages: 3, bytes: 30, entries: [entry] }
  const text = outboxText(view, 200_000, { wide: false, room: 80 })
  assert.ok(
    text.split('\n').every((line) => line.length <= 80),
    text,
  )
  for (const part of ['…00000001', 'order.placed', '…abcdefgh', '3 min', '2 failed', 'COM001', '--after o/x'])
    assert.ok(text.includes(part), `${part} in ${text}`)
  const wide = outboxText(view, 0, { wide: true, room: Number.POSITIVE_INFINITY })
  assert.ok(wide.includes(PEER) && wide.includes(entry.messageId))
  assert.equal(outboxText({ messages: 0, bytes: 0, entries: [] }, 0, { wide: false, room: 80 }), 'nothing waits')
  assert.deepEqual(
    [0, 59_999, 60_000, 7_200_000, 200_000_000].map((ms) => agoText(0, ms)),
    ['0 s', '59 s', '1 min', '2 h', '2 d'],
  )
})

test('an agent is described with its methods and schemas, a protocol with those who offer it', () => {
  const method = {
    name: 'place',
    kind: 'unary' as const,
    description: 'Places an order.',
    idempotent: true,
    request: {
      type: 'object',
      properties: {
        n: { type: 'number' },
        how: { enum: ['a', 'b'] },
        tags: { type: 'array', items: { type: 'string' } },
      },
      required: ['n'],
    },
    response: { type: 'null' },
  }
  const agent = {
    id: PEER,
    name: 'bank',
    state: 'alive' as const,
    labels: { zone: 'a' },
    addresses: ['/ip4/127.0.0.1/tcp/1'],
    protocols: [
      { name: 'orders', version: '1.2.0', methods: [method] },
      { name: 'message/order.placed', version: '1.0.0', methods: [] },
    ],
  }
  const text = describedText({ kind: 'agent', agents: [agent] }, 80)
  for (const part of [
    'orders.place (unary, idempotent)',
    'Places an order.',
    'takes { n: number, how?: "a" | "b", tags?: string[] }',
    'gives null',
    'zone=a',
    PEER,
  ])
    assert.ok(text.includes(part), `${part} in ${text}`)
  assert.match(text, /^receives messages order\.placed 1\.0\.0$/m)
  const [orders] = agent.protocols
  const protocol = describedText(
    { kind: 'protocol', agents: [{ ...agent, protocols: orders === undefined ? [] : [orders] }] },
    40,
  )
  assert.match(protocol, /offered by\n {2}bank 12D3\w+, alive, 1\.2\.0/)
  assert.ok(
    protocol.split('\n').every((line) => line.length <= 40 || line.includes(PEER)),
    protocol,
  )
})

test('latencies are exact up to the bound, and a sample beyond it', () => {
  const few = createLatencies(() => 0)
  for (let ms = 1; ms <= 100; ms += 1) few.add(ms)
  assert.deepEqual([few.quantile(0.5), few.quantile(0.99), few.maxMs(), few.count()], [50, 99, 100, 100])
  const none = createLatencies(() => 0)
  assert.deepEqual([none.quantile(0.5), none.maxMs()], [undefined, undefined])
  const bounded = createLatencies(() => 0.999, 3)
  for (const ms of [1, 2, 3, 900]) bounded.add(ms)
  assert.deepEqual([bounded.quantile(1), bounded.maxMs(), bounded.count()], [3, 900, 4], 'the largest is never lost')
})

test('a bench tells calls a second, latency and what failed', () => {
  const latencies = createLatencies(() => 0)
  for (let n = 0; n < 10; n += 1) latencies.add(2)
  const figures = figuresOf(latencies, new Map([['COM001', 3]]), 2)
  assert.deepEqual([figures.perSecond, figures.p50Ms, figures.errors], [5, 2, { COM001: 3 }])
  const text = benchText('orders.place', { concurrency: 4 }, figures)
  assert.match(text, /10, 5 a second[\s\S]+p50 2 ms[\s\S]+failed {4}3 COM001/)
  assert.deepEqual(
    figuresOf(
      createLatencies(() => 0),
      new Map(),
      0,
    ),
    { seconds: 0, calls: 0, errors: {}, perSecond: 0 },
  )
})
