/** Collections: the same on every member, however much of them lies in snapshots, and never more than was agreed on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { agreePart, knownKinds } from '../../../../protocols/journal/part-kinds.ts'
import { COLLECTIONS_LEVEL } from '../../../../protocols/journal/state/collection-rows.ts'
import {
  type AnyCommandKind,
  defineJournalCommand,
  encodeLoggedCommand,
  type Json,
} from '../../../../protocols/journal/state/command-kind.ts'
import { MAX_COMMAND_ROWS } from '../../../../protocols/journal/state/command-reader.ts'
import { createJournalMachine, type JournalMachine } from '../../../../protocols/journal/state/journal-machine.ts'
import type { CommandAnswer } from '../../../../protocols/journal/state/session-table.ts'
import { partPrefix } from '../../../../protocols/part.ts'
import { chunksOf, savedRows, streamOf, withChanges } from '../../../support/saved-rows.ts'

const PART = 'acme/shelf'
const collection = (name: string): string => `${partPrefix(PART)}${name}`

const StepSchema = z.object({
  name: z.string(),
  key: z.string(),
  /** `null`: the row is deleted; absent: it is only read. */
  value: z.unknown().optional(),
  drops: z.boolean().optional(),
  /** Reads what nobody said that it reads. */
  sneaks: z.string().optional(),
})
type Step = z.output<typeof StepSchema>

/** Several steps as one command. */
const change = defineJournalCommand({
  name: `${PART}.change`,
  level: 1,
  input: z.array(StepSchema),
  output: z.unknown(),
  rows: (steps) => steps.map(({ name, key }) => ({ collection: collection(name), key })),
  apply: (tx, steps) =>
    steps.map(({ name, key, value, drops = false, sneaks }) => {
      const rows = tx.collection(collection(name))
      if (sneaks !== undefined) rows.get(sneaks)
      const before = rows.get(key) ?? null
      if (drops) rows.drop()
      if (value === null) rows.delete(key)
      else if (value !== undefined) rows.put(key, value as Json)
      return [before, rows.get(key) ?? null, rows.rows(), rows.bytes()]
    }) as Json,
})
/** Of no part. */
const intrude = defineJournalCommand({
  name: 'test.intrude',
  level: 1,
  input: z.null(),
  output: z.null(),
  rows: () => [{ collection: collection('a'), key: 'x' }],
  apply(tx) {
    tx.collection(collection('a')).put('x', 1)
    return null
  },
})

const part = {
  name: PART,
  level: 1,
  maxBytes: 10_000,
  kinds: [change as AnyCommandKind],
}

const open = (maxCollectionBytes = 1_000_000, level = COLLECTIONS_LEVEL) => {
  const machine = createJournalMachine(knownKinds([intrude as AnyCommandKind], [part]))
  const run = async (kind: string, input: Json): Promise<CommandAnswer> => {
    const bytes = encodeLoggedCommand({ kind, session: 0, serial: 0, acked: 0, at: 1, by: 'peer', input })
    await machine.prepare?.([{ kind: 'command', data: bytes }])
    return machine.apply(bytes, { index: machine.version() + 1, term: 1 })
  }
  const begin = async () => {
    await run('journal.level', { level })
    await run(agreePart.name, { part: PART, level: 1, maxBytes: 10_000, maxCollectionBytes })
  }
  return { machine, run, begin, change: (...steps: Step[]) => run(change.name, steps as Json) }
}
const codeOf = (answer: CommandAnswer): unknown => (answer.ok ? 'ok' : Reflect.get(Object(answer.fault), 'code'))

const contents = async (machine: JournalMachine, name: string): Promise<unknown> => {
  const found: [string, Json][] = []
  for (let after = ''; ; after = found.at(-1)?.[0] ?? '') {
    const rows = await machine.records.collections.list(collection(name), after, 2, 1_000_000)
    if (rows.length === 0) return found
    for (const { key, value } of rows) found.push([key, value])
  }
}

test('rows are put, read and removed; a collection is there from its first row on, and gone when it is dropped', async () => {
  const { machine, change, begin } = open()
  await begin()
  assert.deepEqual(await contents(machine, 'a'), [])
  const first = await change({ name: 'a', key: 'x', value: 1 }, { name: 'a', key: 'y', value: { deep: [2] } })
  assert.ok(first.ok)
  assert.deepEqual(
    (first.result as Json[][]).map((row) => row.slice(0, 3)),
    [
      [null, 1, 1],
      [null, { deep: [2] }, 2],
    ],
  )
  const again = await change({ name: 'a', key: 'x', value: null }, { name: 'a', key: 'y' })
  assert.deepEqual(again.ok && (again.result as Json[][]).map((row) => row.slice(0, 3)), [
    [1, null, 1],
    [{ deep: [2] }, { deep: [2] }, 1],
  ])
  assert.deepEqual(await contents(machine, 'a'), [['y', { deep: [2] }]])
  await change({ name: 'a', key: 'y', drops: true })
  assert.equal(machine.records.collections.get(collection('a')), undefined)
  assert.equal(machine.records.collections.bytesOf(PART), 0)
})

test('who may: a command of the part, for rows that it names, once every voter knows collections', async () => {
  const { machine, run, change, begin } = open()
  await begin()
  assert.equal(codeOf(await run('test.intrude', null)), 'MSG001')
  const sneaking = await change({ name: 'a', key: 'x', value: 1, sneaks: 'other' })
  assert.ok(!sneaking.ok, 'a mistake of the kind')
  assert.equal(machine.records.collections.get(collection('a')), undefined, 'nothing was changed')
  assert.equal(codeOf(await change({ name: '../b', key: 'x', value: 1 })), 'ok', 'it is below the part all the same')
  assert.equal(codeOf(await change({ name: 'a', key: 'a b', value: 1 })), 'MSG001')
  assert.equal(codeOf(await change({ name: 'a', key: 'x', value: 'x'.repeat(300_000) })), 'MSG001')
  const early = open(1_000_000, COLLECTIONS_LEVEL - 1)
  await early.begin()
  const refused = await early.change({ name: 'a', key: 'x', value: 1 })
  assert.equal(!refused.ok && Reflect.get(Object(Reflect.get(Object(refused.fault), 'details')), 'reason'), 'level')
})

test('a command names so many rows and no more', async () => {
  const { machine, change, begin } = open()
  await begin()
  const steps = (count: number): Step[] => Array.from({ length: count }, (_, i) => ({ name: 'a', key: `${i}` }))
  assert.equal(codeOf(await change(...steps(MAX_COMMAND_ROWS), { name: 'a', key: 'x', value: 1 })), 'MSG001')
  assert.equal(machine.records.collections.get(collection('a')), undefined)
  assert.equal(codeOf(await change(...steps(1_000), { name: 'a', key: 'x', value: 1 })), 'ok')
})

test('a part has as much as was agreed on, and what is dropped or deleted gives it back', async () => {
  const { machine, change, begin } = open(2_000)
  await begin()
  const value = 'x'.repeat(300)
  let taken = 0
  for (let i = 0; i < 20; i += 1) if ((await change({ name: 'a', key: `k${i}`, value })).ok) taken += 1
  assert.ok(taken >= 3 && taken < 6, `${taken} rows`)
  assert.ok(machine.records.collections.bytesOf(PART) <= 2_000)
  assert.equal(codeOf(await change({ name: 'a', key: 'k99', value })), 'COM003')
  await change({ name: 'a', key: 'k0', value: null })
  assert.equal(codeOf(await change({ name: 'a', key: 'k99', value })), 'ok')
  // In one command: what it gives up counts for what it takes.
  assert.equal(
    codeOf(await change({ name: 'a', key: 'k1', drops: true, value }, { name: 'b', key: 'k2', value })),
    'ok',
  )
  const none = open(1)
  await none.begin()
  assert.equal(codeOf(await none.change({ name: 'a', key: 'x', value: 1 })), 'COM003')
})

test('a command that fails changes nothing of a collection', async () => {
  const { machine, change, begin } = open()
  await begin()
  await change({ name: 'a', key: 'x', value: 1 })
  const failed = await change(
    { name: 'a', key: 'y', value: 2, drops: true },
    { name: 'a', key: 'not usable', value: 1 },
  )
  assert.equal(codeOf(failed), 'MSG001')
  assert.deepEqual(await contents(machine, 'a'), [['x', 1]])
})

const NAMES = ['a', 'b', 'c/d']
const step = fc.record(
  {
    name: fc.constantFrom(...NAMES),
    key: fc.constantFrom('k', 'k/1', 'l', 'm'),
    value: fc.option(fc.oneof(fc.nat(9), fc.string({ maxLength: 8 })), { nil: null }),
    drops: fc.boolean(),
  },
  { requiredKeys: ['name', 'key'] },
)
const event = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant('change' as const), steps: fc.array(step, { maxLength: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('take' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('settle' as const), isSaved: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('restart' as const, 'send' as const) }) },
)

test('with snapshots that are taken, fail, are restored from and sent: as if all of it were in memory', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 50 }), async (events) => {
      // Nothing is ever saved of this one.
      const model = open()
      await model.begin()
      let live = open()
      await live.begin()
      let log: Step[][] = []
      let rows = new Map<string, Uint8Array>()
      let taken: { changes: ReturnType<JournalMachine['changes']>; log: number } | undefined
      const agree = async (): Promise<void> => {
        for (const name of NAMES)
          assert.deepEqual(await contents(live.machine, name), await contents(model.machine, name), name)
        const { collections } = live.machine.records
        assert.equal(collections.bytesOf(PART), model.machine.records.collections.bytesOf(PART))
      }
      for (const one of events) {
        if (one.type === 'change') {
          const steps = one.steps as Step[]
          log.push(steps)
          assert.deepEqual(await live.change(...steps), await model.change(...steps))
        } else if (one.type === 'take') taken ??= { changes: live.machine.changes(), log: log.length }
        else if (one.type === 'settle' && taken !== undefined) {
          const { changes, log: from } = taken
          taken = undefined
          if (one.isSaved) {
            rows = await withChanges(changes.rows, rows)
            changes.settle(savedRows(rows))
            log = log.slice(from)
          } else changes.settle(undefined)
        } else if ((one.type === 'restart' || one.type === 'send') && rows.size > 0) {
          taken = undefined
          live = open()
          if (one.type === 'send')
            rows = await withChanges(live.machine.decode(streamOf(await chunksOf(live.machine, rows))))
          await live.machine.restore(savedRows(rows))
          for (const steps of log) await live.change(...steps)
        }
        await agree()
      }
      // Of what was dropped nothing is left in the end.
      for (let i = 0; i < 3; i += 1) {
        taken?.changes.settle(undefined)
        taken = undefined
        const changes = live.machine.changes()
        rows = await withChanges(changes.rows, rows)
        changes.settle(savedRows(rows))
      }
      const kept = [...rows.keys()].filter((key) => key.startsWith('v/')).length
      const expected = await Promise.all(NAMES.map((name) => contents(live.machine, name)))
      assert.equal(kept, (expected as unknown[][]).flat().length)
      assert.deepEqual(
        [...rows.keys()].filter((key) => key.startsWith('d/')),
        [],
      )
    }),
    { numRuns: 400 },
  )
})

test('what is in no snapshot is counted as it would be saved: a row once, nothing of what is gone', async () => {
  const { machine, change, begin } = open()
  await begin()
  const { collections } = machine.records
  await change({ name: 'a', key: 'x', value: 'v'.repeat(1_000) })
  const one = collections.changedBytes()
  assert.ok(one >= 1_000)
  for (let i = 0; i < 50; i += 1) await change({ name: 'a', key: 'x', value: 'w'.repeat(1_000) })
  assert.equal(collections.changedBytes(), one)
  await change({ name: 'a', key: 'x', value: 'v'.repeat(400) })
  assert.equal(collections.changedBytes(), one - 600)
  await change({ name: 'a', key: 'x', drops: true })
  assert.equal(collections.changedBytes(), 0)
})
