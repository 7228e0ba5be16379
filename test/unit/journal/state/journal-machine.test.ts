/** The journal as a state machine: the same on every member, as entries or as a snapshot. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { ParleyError } from '../../../../protocols/errors.ts'
import { BUILT_IN_KINDS } from '../../../../protocols/journal/state/built-in-kinds.ts'
import {
  type AnyCommandKind,
  defineJournalCommand,
  encodeLoggedCommand,
  type Json,
  type LoggedCommand,
} from '../../../../protocols/journal/state/command-kind.ts'
import {
  createJournalMachine,
  type JournalMachine,
  MAX_RESULT_BYTES,
  OPEN_SESSION,
} from '../../../../protocols/journal/state/journal-machine.ts'
import type { CommandAnswer } from '../../../../protocols/journal/state/session-table.ts'
import { chunksOf, savedRows, snapshotOf, streamOf, withChanges } from '../../../support/saved-rows.ts'

/** Adds to a list, so that what is applied twice shows. */
const append = defineJournalCommand({
  name: 'list.append',
  level: 1,
  input: z.object({ key: z.string(), value: z.number() }),
  output: z.number(),
  apply(tx, { key, value }) {
    const before = z.array(z.number()).parse(tx.get(key) ?? [])
    tx.put(key, [...before, value])
    if (value < 0) throw new ParleyError('STA001', 'below 0', { details: { value } })
    return before.length + 1
  },
})
const echo = defineJournalCommand({
  name: 'test.echo',
  level: 1,
  input: z.unknown(),
  output: z.unknown(),
  apply: (tx, input) => {
    tx.put('echoed', 1)
    if (typeof input === 'string' && input.startsWith('throw ')) throw new ParleyError('STA001', input)
    return input
  },
})
const tell = (what: () => unknown) =>
  defineJournalCommand({ name: 'test.tell', level: 1, input: z.null(), output: z.unknown(), apply: what })

const kindsWith = (...more: AnyCommandKind[]): ReadonlyMap<string, AnyCommandKind> =>
  new Map(
    [...BUILT_IN_KINDS, append as AnyCommandKind, echo as AnyCommandKind, ...more].map((kind) => [kind.name, kind]),
  )
const create = (...more: AnyCommandKind[]): JournalMachine => createJournalMachine(kindsWith(...more))

const command = (kind: string, input: Json, more: Partial<LoggedCommand> = {}): Uint8Array =>
  encodeLoggedCommand({ kind, session: 0, serial: 0, acked: 0, at: 1_000, by: 'peer', input, ...more })
const at = (index: number, term = 1) => ({ index, term })
const codeOf = (answer: CommandAnswer): unknown => (answer.ok ? 'ok' : Reflect.get(Object(answer.fault), 'code'))
const reasonOf = (answer: CommandAnswer): unknown =>
  answer.ok ? 'ok' : Reflect.get(Object(Reflect.get(Object(answer.fault), 'details')), 'reason')

/** Everything that decides what comes of the next commands, and when each session was used. */
const stateOf = (machine: JournalMachine) => ({
  records: machine.records.all().toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  sessions: machine.sessions.all(),
  bytes: machine.records.bytes(),
  version: machine.version(),
})

/** Of a session only the order of use counts. */
const unordered = (machine: JournalMachine) => {
  const { sessions, ...rest } = stateOf(machine)
  return { ...rest, sessions: sessions.map(({ used: _, ...session }) => session) }
}

test('a command of a session is applied once, and its answer told again', () => {
  const machine = create()
  machine.apply(command(OPEN_SESSION, null), at(1))
  const body = command('list.append', { key: 'l', value: 7 }, { session: 1, serial: 1 })
  const first = machine.apply(body, at(2))
  assert.deepEqual(first, { ok: true, version: 2, term: 1, result: 1 })
  assert.deepEqual(machine.apply(body, at(3, 2)), first, 'in another term too')
  assert.deepEqual(machine.records.get('l')?.value, [7])
  const failing = command('list.append', { key: 'l', value: -1 }, { session: 1, serial: 2 })
  const failed = machine.apply(failing, at(4))
  assert.deepEqual([codeOf(failed), machine.apply(failing, at(5))], ['STA001', failed])
  const acked = command('list.append', { key: 'l', value: 8 }, { session: 1, serial: 3, acked: 2 })
  assert.equal(codeOf(machine.apply(acked, at(6))), 'ok')
  assert.equal(reasonOf(machine.apply(body, at(7))), 'serial-done')
  assert.deepEqual(machine.records.get('l')?.value, [7, 8])
})

test('a command without a session is applied each time that it comes', () => {
  const machine = create()
  for (const index of [1, 2]) machine.apply(command('list.append', { key: 'l', value: 1 }), at(index))
  assert.deepEqual(machine.records.get('l')?.value, [1, 1])
})

test('a session of another node, or one that is not known, has no effect', () => {
  const machine = create()
  machine.apply(command(OPEN_SESSION, null), at(1))
  const input = { key: 'l', value: 7 }
  const ofOther = command('list.append', input, { session: 1, serial: 1, by: 'other' })
  assert.equal(reasonOf(machine.apply(ofOther, at(2))), 'session-expired')
  assert.equal(
    reasonOf(machine.apply(command('list.append', input, { session: 9, serial: 1 }), at(3))),
    'session-expired',
  )
  assert.equal(machine.records.get('l'), undefined)
})

test('the clock of the entries does not go back, whatever the leaders have', () => {
  const machine = create()
  for (const [i, time] of [500, 300, 700].entries())
    machine.apply(command('record.put', { key: `k${i}`, value: 1 }, { at: time }), at(i + 1))
  assert.deepEqual(
    machine.records.since(0, 10, 1_000_000)?.map((change) => change.at),
    [500, 500, 700],
  )
})

test('what a kind throws is the answer, whatever it is, and nothing was changed', () => {
  const circular: Record<string, unknown> = {}
  circular.self = circular
  const errors = [
    new ParleyError('STA001', 'not there', { details: { circular } }),
    new ParleyError('STA001', 'x'.repeat(100_000)),
    new ParleyError('STA001', 'big', { details: { text: 'x'.repeat(100_000) } }),
    new ParleyError('STA001', 'bigint', { details: { n: 1n } }),
    new TypeError('of a mistake'),
    'a string',
    undefined,
  ]
  for (const [i, error] of errors.entries()) {
    const machine = create(
      tell(() => {
        throw error
      }) as AnyCommandKind,
    )
    const answer = machine.apply(command('test.tell', null), at(1))
    assert.equal(codeOf(answer), error instanceof ParleyError ? 'STA001' : 'APP001', `error ${i}`)
    assert.ok(JSON.stringify(answer).length < 5_000)
  }
})

test('a kind that fails by a mistake is told of, and one that refuses is not', () => {
  const told: [string, unknown][] = []
  const errors = [new ParleyError('STA001', 'not there'), new TypeError('of a mistake')]
  const kind = tell(() => {
    throw errors.shift()
  }) as AnyCommandKind
  const machine = createJournalMachine(kindsWith(kind), (name, error) => void told.push([name, error]))
  machine.apply(command('test.tell', null), at(1))
  assert.deepEqual([...told], [])
  machine.apply(command('test.tell', null), at(2))
  assert.deepEqual(
    told.map(([name, error]) => [name, String(error)]),
    [['test.tell', 'TypeError: of a mistake']],
  )
})

test('an answer up to its limit is kept, and a longer one, or one that is no JSON, changes nothing', () => {
  const run = (result: unknown): [unknown, unknown] => {
    const machine = create(tell(() => result) as AnyCommandKind)
    const answer = machine.apply(command('test.tell', null), at(1))
    return [codeOf(answer), answer.ok ? answer.result : undefined]
  }
  const fits = 'x'.repeat(MAX_RESULT_BYTES - 2)
  assert.deepEqual(run(fits), ['ok', fits])
  assert.equal(run(`${fits}x`)[0], 'MSG001')
  for (const bad of [new Date(), Number.NaN, new Map(), 1n, () => 1]) assert.equal(run(bad)[0], 'MSG001')
  assert.deepEqual(run(undefined), ['ok', null])
  assert.deepEqual(run({ a: undefined, b: -0 }), ['ok', { b: 0 }])
  const machine = create()
  assert.equal(codeOf(machine.apply(command('test.echo', `${fits}x`), at(1))), 'MSG001')
  assert.equal(machine.records.get('echoed'), undefined)
})

test('a kind that this member does not know ends it: it does not guess', () => {
  const machine = create()
  assert.throws(() => machine.apply(command('task.new', null), at(1)), /task\.new/)
})

test('a snapshot of a newer format, or what is none, is refused', async () => {
  const machine = create()
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  const isNewer = (error: unknown): boolean => error instanceof ParleyError && error.details.reason === 'newer'
  const later = bytes('{"format":2,"version":1,"at":1}')
  const read = async (...chunks: Uint8Array[]): Promise<void> => {
    for await (const _ of machine.decode(streamOf(chunks)));
  }
  await assert.rejects(machine.restore(savedRows(new Map([['a', later]]))), isNewer)
  await assert.rejects(machine.restore(savedRows(new Map())), isNewer)
  await assert.rejects(machine.restore(savedRows(new Map([['a', bytes('nonsense')]]))))
  await assert.rejects(read(later), isNewer)
  await assert.rejects(read(), isNewer)
  await assert.rejects(read(bytes('nonsense')))
  const head = bytes('{"format":1,"version":1,"at":1}')
  for (const bad of [
    '{"records":7}',
    '{"records":[{"key":"a\\u0100"}]}',
    '{"rows":[["r/a","1"]]}',
    '{"rows":[["v/\\n","1"]]}',
  ])
    await assert.rejects(read(head, bytes(bad)), bad)
  assert.equal(machine.version(), 0)
})

test('who waits is told of each entry, and of a snapshot', async () => {
  const machine = create()
  const told: number[] = []
  const stop = machine.onApplied((version) => told.push(version))
  machine.apply(command('record.put', { key: 'a', value: 1 }), at(2))
  const saved = await snapshotOf(machine)
  machine.apply(command('record.put', { key: 'a', value: 2 }), at(5))
  await machine.restore(savedRows(saved))
  stop()
  machine.apply(command('record.put', { key: 'a', value: 3 }), at(9))
  assert.deepEqual(told, [2, 5, 2])
})

test('a snapshot is cut into parts that fit a message, however much is in one session', async () => {
  const machine = create()
  machine.apply(command(OPEN_SESSION, null), at(1))
  let index = 2
  for (let serial = 1; serial <= 100; serial += 1, index += 1)
    machine.apply(command('test.echo', 'x'.repeat(50_000), { session: 1, serial }), at(index))
  for (let i = 0; i < 2_000; i += 1, index += 1)
    machine.apply(command('record.put', { key: `k${i}`, value: 'y'.repeat(i) }), at(index))
  machine.apply(command('record.put', { key: 'large', value: 'z'.repeat(262_000) }), at(index))
  const saved = await chunksOf(machine, await snapshotOf(machine))
  assert.ok(saved.length > 20, `${saved.length} parts`)
  assert.ok(Math.max(...saved.map(({ length }) => length)) < 600_000)
  const other = create()
  await other.restore(savedRows(await withChanges(other.decode(streamOf(saved)))))
  assert.deepEqual(unordered(other), unordered(machine))
})

const key = fc.constantFrom('a', 'b', 'c')
const body = fc.oneof(
  fc.record({ kind: fc.constant('record.put'), input: fc.record({ key, value: fc.jsonValue({ maxDepth: 2 }) }) }),
  fc.record({
    kind: fc.constant('record.put'),
    input: fc.record({ key, value: fc.nat(3), ifVersion: fc.nat(20) }),
  }),
  fc.record({ kind: fc.constant('record.delete'), input: fc.record({ key }) }),
  fc.record({
    kind: fc.constant('list.append'),
    input: fc.record({ key: fc.constant('l'), value: fc.integer({ min: -1, max: 9 }) }),
  }),
  fc.record({ kind: fc.constant('test.echo'), input: fc.oneof(fc.constant('throw it'), fc.string({ maxLength: 9 })) }),
  fc.record({ kind: fc.constant('coordinator.begin'), input: fc.constant({ leader: 'p', name: 'n' }) }),
  fc.record({ kind: fc.constant('journal.level'), input: fc.record({ level: fc.integer({ min: 1, max: 3 }) }) }),
  fc.record({ kind: fc.constant(OPEN_SESSION), input: fc.constant(null) }),
)
const entry = fc.record({
  body,
  /** Of a few that may be open. */
  session: fc.nat(6),
  serial: fc.integer({ min: 1, max: 6 }),
  acked: fc.nat(3),
  at: fc.nat(1_000),
  by: fc.constantFrom('peer', 'other'),
  term: fc.nat(3),
})

test('the same entries give the same, as entries, as snapshots on top of one another, as chunks, and the rest', async () => {
  const places = fc.uniqueArray(fc.nat(60), { maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 60 }), places, fc.boolean(), async (entries, where, fails) => {
      const cuts = new Set(where)
      const live = create()
      const answers: CommandAnswer[] = []
      let term = 1
      const log = entries.map(({ body: { kind, input }, term: rise, ...rest }, i) => {
        term = Math.max(term, rise)
        return { bytes: command(kind, input as Json, rest), fence: at(i + 1, term) }
      })
      let rows = new Map<string, Uint8Array>()
      let taken: { place: number; changes: ReturnType<JournalMachine['changes']>; state: unknown } | undefined
      /** Read late, as one that is written while more is applied. */
      const settle = async (): Promise<void> => {
        if (taken === undefined) return
        const { changes, state, place } = taken
        taken = undefined
        if (fails && place % 2 === 0) {
          changes.settle(undefined)
          return
        }
        rows = await withChanges(changes.rows, rows)
        changes.settle(savedRows(rows))
        const restored = create()
        await restored.restore(savedRows(rows))
        assert.deepEqual(stateOf(restored), state)
        const sent = create()
        await sent.restore(savedRows(await withChanges(sent.decode(streamOf(await chunksOf(live, rows))))))
        for (const machine of [restored, sent]) {
          const again = log.slice(place).map(({ bytes, fence }) => machine.apply(bytes, fence))
          const whole = create()
          const expected = log.map(({ bytes, fence }) => whole.apply(bytes, fence))
          assert.deepEqual(again, expected.slice(place))
          assert.deepEqual(unordered(machine), unordered(whole))
        }
      }
      for (const [i, { bytes, fence }] of log.entries()) {
        if (cuts.has(i)) {
          await settle()
          taken = { place: i, changes: live.changes(), state: structuredClone(stateOf(live)) }
        }
        answers.push(live.apply(bytes, fence))
      }
      await settle()
      const replayed = create()
      assert.deepEqual(
        log.map(({ bytes, fence }) => replayed.apply(bytes, fence)),
        answers,
      )
    }),
    { numRuns: 200 },
  )
})
