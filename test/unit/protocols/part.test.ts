/** What a definition of a part may say. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { defineProtocol } from '../../../protocols/define.ts'
import { checkVendor, definePart, MAX_JOURNAL_BYTES } from '../../../protocols/define-part.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { defineJournalCommand } from '../../../protocols/journal/state/command-kind.ts'
import { implementPart, type Loading, partPrefix, tokenOf } from '../../../protocols/part.ts'

interface Tally {
  count(): number
}
const clockToken = tokenOf<{ tick(): void }>('clock-tower')
const nothing = {
  name: 'acme/tally',
  description: 'Counts.',
  load: (): Loading<Tally> => Promise.reject(new Error('-')),
}

/** Defines it with these changes, as a program without types could. */
const define = (changes: Record<string, unknown>): unknown => definePart({ ...nothing, ...changes } as typeof nothing)
const refuses = (changes: Record<string, unknown>, text: RegExp): void => {
  assert.throws(
    () => define(changes),
    (error) => isParleyError(error, 'MSG001') && text.test(error.message) && error.hint !== '',
  )
}

const kind = (name: string, level = 1) =>
  defineJournalCommand({ name, level, input: z.object({}), output: z.null(), apply: () => null })
const protocol = (name: string, version = '1.0.0') =>
  defineProtocol({ name, version, methods: { ask: { request: z.object({}), response: z.object({}) } } })

test('a definition is checked and keeps its types; its implementation is bound to them', () => {
  const part = definePart({
    ...nothing,
    needs: { tower: clockToken },
    optional: { other: tokenOf<number>('other') },
    options: z.strictObject({ most: z.int().default(3) }),
    figures: {
      counted_total: { kind: 'counter', help: 'Counted' },
      open: { kind: 'gauge', help: 'Open', label: 'by' },
    },
    views: { counts: { title: 'Counts', form: 'table' } },
  })
  const made = implementPart<typeof part>({
    start({ tower, other, log }, { most }) {
      tower.tick()
      log.info(`${(other ?? 0) + most}`)
      return {
        api: { count: () => most },
        figures: () => ({ counted_total: 1, open: [['x', 2]] as const }),
        views: { counts: () => ({ columns: ['a'], rows: [[1]] }) },
      }
    },
  })
  assert.equal(typeof made.start, 'function')
  // @ts-expect-error a view of another form
  implementPart<typeof part>({ start: () => ({ api: { count: () => 1 }, views: { counts: () => ({ entries: [] }) } }) })
  // @ts-expect-error an api of another type
  implementPart<typeof part>({ start: () => ({ api: { count: () => '1' } }) })
  // @ts-expect-error a need that is not named
  implementPart<typeof part>({ start: ({ journal }) => ({ api: { count: () => journal } }) })
})

test('names: vendor/name, or a name alone for the mesh itself; third parties have a vendor of their own', () => {
  for (const name of ['acme/tally', 'a/b', 'tally', `${'v'.repeat(20)}/${'n'.repeat(24)}`]) define({ name })
  for (const name of [
    '',
    'Acme/tally',
    'acme/',
    '/tally',
    'a/b/c',
    `${'v'.repeat(21)}/n`,
    `v/${'n'.repeat(25)}`,
    'n'.repeat(25),
    3,
  ])
    refuses({ name }, /the name .* of a part is not usable/)
  refuses({ description: '' }, /has no description/)
  checkVendor({ name: 'acme/tally' })
  for (const name of ['tally', 'parley/tally'])
    assert.throws(
      () => checkVendor({ name }),
      (error) => isParleyError(error, 'MSG001') && /vendor/.test(error.message),
    )
})

test('keys that nobody knows, needs that are no tokens or hide the Port, and a part that cannot be loaded are refused', () => {
  refuses({ activates: 'start' }, /"activates" is unknown/)
  refuses({ needs: { clock: clockToken } }, /calls a need clock/)
  refuses({ optional: { serve: clockToken } }, /calls a need serve/)
  refuses({ needs: { a: clockToken }, optional: { a: clockToken } }, /names a in needs and in optional/)
  refuses({ needs: { a: {} } }, /is no token/)
  refuses({ load: undefined }, /cannot be loaded/)
})

test('journal commands bear the name of their part, once each, and no level above its own', () => {
  const journal = (changes: Record<string, unknown>) => ({
    journal: { level: 2, maxBytes: 1_000, kinds: [], ...changes },
  })
  define(journal({ kinds: [kind('acme/tally.add'), kind('acme/tally.take', 2)] }))
  define(journal({ maxBytes: MAX_JOURNAL_BYTES }))
  refuses(journal({ maxBytes: MAX_JOURNAL_BYTES + 1 }), /maxBytes/)
  refuses(journal({ maxBytes: 0 }), /maxBytes/)
  refuses(journal({ level: 0 }), /level 0/)
  refuses(journal({ level: 1.5 }), /level 1.5/)
  for (const name of [
    'tally.add',
    'acme/other.add',
    'acme/tally',
    'acme/tally.',
    'acme/tally.Add',
    `acme/tally.${'x'.repeat(60)}`,
  ])
    refuses(journal({ kinds: [kind(name)] }), /not named as it must be/)
  refuses(journal({ kinds: [kind('acme/tally.add'), kind('acme/tally.add')] }), /two journal commands/)
  refuses(journal({ kinds: [kind('acme/tally.add', 3)] }), /of level 3, and its part of 2/)
})

test('figures and views are named as they must be, and bounded', () => {
  refuses({ figures: { counted: { kind: 'counter', help: 'x' } } }, /the figure counted/)
  refuses({ figures: { counted_total: { kind: 'gauge', help: 'x' } } }, /the figure counted_total/)
  refuses({ figures: { 'a-b': { kind: 'gauge', help: 'x' } } }, /the figure a-b/)
  refuses({ figures: { a: { kind: 'gauge', help: '' } } }, /has no help/)
  refuses({ views: { 'A b': { title: 'x', form: 'table' } } }, /the view A b/)
  const board = { title: 'x', form: 'board', opens: 'one' } as const
  refuses({ views: { all: board } }, /opens one, which shows no single thing/)
  refuses({ views: { all: board, one: { title: 'x', form: 'table' } } }, /opens one, which shows no single thing/)
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, { kind: 'gauge', help: 'x' }]))
  define({ figures: many(32) })
  refuses({ figures: many(33) }, /more than 32/)
})

test('protocols stand once, at most sixteen of them', () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => protocol(`p${i}`))
  define({ protocols: many(16) })
  refuses({ protocols: many(17) }, /17 protocols/)
  refuses({ protocols: [protocol('a'), protocol('a', '1.2.0')] }, /twice/)
  define({ protocols: [protocol('a'), protocol('a', '2.0.0')] })
})

test('each part has its own keys', () => {
  assert.equal(partPrefix('acme/tally'), '$part/acme/tally/')
  assert.equal(partPrefix('tasks'), '$part/parley/tasks/')
})
