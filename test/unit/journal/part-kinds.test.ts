/** Commands of parts in the journal: whose keys they write, how much, and from when on they are taken. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { isParleyError } from '../../../protocols/errors.ts'
import {
  type JournalPart,
  knownKinds,
  offerOf,
  PARTS_LEVEL,
  readOffers,
} from '../../../protocols/journal/part-kinds.ts'
import {
  type AnyCommandKind,
  defineJournalCommand,
  encodeLoggedCommand,
  type Json,
} from '../../../protocols/journal/state/command-kind.ts'
import { createJournalMachine, isUnknownKind } from '../../../protocols/journal/state/journal-machine.ts'
import { RECORD_BYTES } from '../../../protocols/journal/state/record-shares.ts'
import type { CommandAnswer } from '../../../protocols/journal/state/session-table.ts'
import { partPrefix } from '../../../protocols/part.ts'
import { savedRows, snapshotOf } from '../../support/saved-rows.ts'

const Write = z.object({ key: z.string(), value: z.string().nullable() })
/** Writes whatever key it is told. */
const writer = (name: string, level = 1): AnyCommandKind =>
  defineJournalCommand({
    name,
    level,
    input: Write,
    output: z.null(),
    apply(tx, { key, value }) {
      if (value === null) tx.delete(key)
      else tx.put(key, value)
      return null
    },
  }) as AnyCommandKind
const part = (name: string, maxBytes = 10_000): JournalPart => ({
  name,
  level: 1,
  maxBytes,
  kinds: [writer(`${name}.write`)],
})
const PROGRAM = writer('program.write')

const create = (parts: readonly JournalPart[] = [part('acme/a'), part('acme/b')], level = PARTS_LEVEL) => {
  const machine = createJournalMachine(knownKinds([PROGRAM], parts))
  let index = 0
  const run = (kind: string, input: Json, by = 'peer'): CommandAnswer => {
    index += 1
    const facts = { session: 0, serial: 0, acked: 0, at: 1_000, by }
    return machine.apply(encodeLoggedCommand({ ...facts, kind, input }), { index, term: 1 })
  }
  if (level > 1) run('journal.level', { level })
  const agree = ({ name, level: has, maxBytes }: JournalPart): CommandAnswer =>
    run('journal.part', { part: name, level: has, maxBytes })
  for (const one of parts) if (level >= PARTS_LEVEL) agree(one)
  return { machine, run, agree }
}
const codeOf = (answer: CommandAnswer): unknown => (answer.ok ? 'ok' : Reflect.get(Object(answer.fault), 'code'))
const A = partPrefix('acme/a')
const B = partPrefix('acme/b')

test('a command of a part writes below its own prefix, and nobody else does', () => {
  const { run, machine } = create()
  const write = (kind: string, key: string, value: string | null = 'x') => codeOf(run(kind, { key, value }))
  assert.equal(write('acme/a.write', `${A}one`), 'ok')
  for (const key of [`${B}one`, 'one', '$level', '$part/acme/', '$part-levels/acme/a', '$part/acme/ab/one'])
    assert.equal(write('acme/a.write', key), 'SEC002', key)
  assert.equal(write('acme/b.write', `${A}one`, null), 'SEC002')
  assert.equal(write('program.write', `${A}one`), 'SEC002')
  assert.equal(write('program.write', `${A}one`, null), 'SEC002')
  assert.equal(codeOf(run('record.put', { key: `${A}one`, value: 1 })), 'SEC002')
  assert.equal(codeOf(run('record.delete', { key: `${A}one` })), 'SEC002')
  assert.equal(write('program.write', 'one'), 'ok')
  assert.equal(machine.records.get(`${A}one`)?.value, 'x')
  assert.equal(write('acme/a.write', `${A}one`, null), 'ok')
  assert.equal(machine.records.get(`${A}one`), undefined)
})

test('before every voter knows of parts nothing of this counts: an old log gives what it gave', () => {
  const { run } = create([], PARTS_LEVEL - 1)
  assert.equal(codeOf(run('program.write', { key: `${A}one`, value: 'x' })), 'ok')
})

test('a part has its own share of bytes, up to the last one, and nobody else pays for it', () => {
  const size = `${A}k`.length + JSON.stringify('').length
  const { run, machine } = create([part('acme/a', 2 * (size + RECORD_BYTES) + 3), part('acme/b', 10)])
  const write = (key: string, value: string | null): unknown => codeOf(run('acme/a.write', { key, value }))
  assert.equal(write(`${A}k`, ''), 'ok')
  assert.equal(write(`${A}l`, '1234'), 'COM003')
  assert.equal(write(`${A}l`, '123'), 'ok')
  assert.equal(machine.records.parts.held('acme/a'), 2 * (size + RECORD_BYTES) + 3)
  assert.equal(machine.records.bytesOf('peer'), 0)
  assert.equal(write(`${A}k`, 'x'), 'COM003')
  assert.equal(write(`${A}l`, ''), 'ok')
  assert.equal(write(`${A}k`, '123'), 'ok')
  assert.equal(codeOf(run('acme/b.write', { key: `${B}k`, value: '' })), 'COM003')
  assert.equal(write(`${A}k`, null), 'ok')
  assert.equal(write(`${A}m`, ''), 'ok')
})

test('what was agreed on of a part only rises', () => {
  const { machine, agree } = create([part('acme/a')])
  const level = () => machine.records.parts.agreed('acme/a')
  assert.deepEqual(level(), { level: 1, maxBytes: 10_000 })
  agree({ ...part('acme/a', 20_000), level: 3 })
  assert.deepEqual(level(), { level: 3, maxBytes: 20_000 })
  agree({ ...part('acme/a', 5), level: 2 })
  assert.deepEqual(level(), { level: 3, maxBytes: 20_000 })
  assert.equal(machine.records.parts.agreed('acme/b'), undefined)
})

test('shares and agreed levels follow from the records: the same by entries and by a snapshot', async () => {
  const step = fc.record({
    of: fc.constantFrom('a', 'b'),
    key: fc.constantFrom('x', 'y', 'z'),
    value: fc.option(fc.string({ maxLength: 40 }), { nil: null }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.nat(40), async (steps, cut) => {
      const parts = [part('acme/a', 400), part('acme/b', 500)]
      const all = create(parts)
      let restored = create(parts, 1)
      for (const [i, { of, key, value }] of steps.entries()) {
        if (i === cut) {
          const rows = await snapshotOf(all.machine)
          restored = create(parts, 1)
          await restored.machine.restore(savedRows(rows))
        }
        const input = { key: `${partPrefix(`acme/${of}`)}${key}`, value }
        const one = codeOf(all.run(`acme/${of}.write`, input))
        if (i >= cut) assert.equal(codeOf(restored.run(`acme/${of}.write`, input)), one)
        for (const name of ['acme/a', 'acme/b']) {
          const kept = all.machine.records.all().filter((record) => record.key.startsWith(partPrefix(name)))
          const bytes = kept.reduce((sum, record) => sum + record.size + RECORD_BYTES, 0)
          assert.equal(all.machine.records.parts.held(name), bytes)
          assert.ok(bytes <= (name === 'acme/a' ? 400 : 500))
        }
      }
    }),
    { numRuns: 200 },
  )
})

test('a command that this member does not know ends it, and the error says what is missing', () => {
  const { run } = create()
  const thrown = (kind: string): unknown => {
    try {
      return run(kind, null)
    } catch (error) {
      return error
    }
  }
  const ofPart = thrown('acme/c.write')
  assert.ok(isUnknownKind(ofPart) && isParleyError(ofPart))
  assert.match(ofPart.message, /acme\/c\.write, which this node has not: it is of the part acme\/c/)
  assert.match(ofPart.hint ?? '', /createMesh\(\{ parts \}\)/)
  assert.ok(isUnknownKind(thrown('task.new')))
})

test('offers are read as they are written; what is none is left out', () => {
  assert.equal(offerOf(part('acme/a')), 'acme/a@1')
  const read = readOffers(['acme/a@1', 'tasks@12', 'acme/b', 'acme/b@0', 'acme/b@-1', `x${'y'.repeat(60)}@1`, ''])
  assert.deepEqual(
    [...read],
    [
      ['acme/a', 1],
      ['tasks', 12],
    ],
  )
  assert.equal(readOffers(undefined).size, 0)
})
