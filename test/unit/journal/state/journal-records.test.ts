/** Records of the journal: all or nothing, bounds, order, catching up; and the same as a dumb model of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import type { JournalTx, Json } from '../../../../protocols/journal/state/command-kind.ts'
import { JournalRecords } from '../../../../protocols/journal/state/journal-records.ts'
import { MAX_JSON_DEPTH } from '../../../../protocols/journal/state/json-value.ts'
import { MAX_CHANGES, MAX_CHANGES_BYTES } from '../../../../protocols/journal/state/recent-changes.ts'
import {
  CHANGE_BYTES,
  MAX_ENTRY_BYTES,
  MAX_KEY,
  MAX_VALUE_BYTES,
  MESH_BYTES,
} from '../../../../protocols/journal/state/record-transaction.ts'

const at = (index: number, term = 1) => ({ index, term })
const change = <T>(records: JournalRecords, index: number, run: (tx: JournalTx) => T): T =>
  records.transact(at(index), 1_000 + index, run)
const put = (records: JournalRecords, index: number, key: string, value: Json): void =>
  change(records, index, (tx) => tx.put(key, value))
/** A string whose JSON has this length. */
const textOf = (length: number): string => 'x'.repeat(length - 2)
const codeOf = (fn: () => unknown): string => {
  try {
    fn()
  } catch (error) {
    if (isParleyError(error)) return error.code
    throw error
  }
  return 'nothing'
}
const MANY = 1_000_000

test('a command that throws changes nothing, whatever it did before', () => {
  const records = new JournalRecords()
  put(records, 1, 'a', 1)
  put(records, 2, 'b', 'bb')
  const before = { all: records.all(), bytes: records.bytes() }
  assert.throws(
    () =>
      change(records, 3, (tx) => {
        tx.put('a', 2)
        tx.delete('b')
        tx.put('c', 3)
        throw new Error('no')
      }),
    /no/,
  )
  assert.deepEqual({ all: records.all(), bytes: records.bytes() }, before)
  assert.deepEqual(records.since(2, MANY, MANY), [])
  assert.deepEqual(
    records.list('', '', 10, MANY).map(({ key }) => key),
    ['a', 'b'],
  )
})

test('a command may take its transaction apart', () => {
  const records = new JournalRecords()
  put(records, 1, 'a', 1)
  const seen = change(records, 2, ({ get, version, put, delete: remove, keys }) => {
    put('b', 2)
    remove('a')
    return [get('a'), get('b'), version('a'), version('b'), keys('')]
  })
  assert.deepEqual(seen, [undefined, 2, 0, 2, ['b']])
  assert.deepEqual(
    records.all().map(({ key }) => key),
    ['b'],
  )
})

test('a command sees its own changes before they count', () => {
  const records = new JournalRecords()
  put(records, 1, 'k/a', 1)
  put(records, 2, 'k/c', 3)
  const seen = change(records, 7, (tx) => {
    tx.put('k/b', 2)
    tx.delete('k/c')
    tx.put('k/a', 'new')
    const first = [tx.get('k/a'), tx.version('k/a'), tx.version('k/b'), tx.get('k/c'), tx.version('k/c')]
    const keys = tx.keys('k/')
    tx.delete('k/b')
    return { first, keys, after: tx.keys('k/'), gone: tx.version('k/b'), outside: records.get('k/a')?.value }
  })
  assert.deepEqual(seen, {
    first: ['new', 7, 7, undefined, 0],
    keys: ['k/a', 'k/b'],
    after: ['k/a'],
    gone: 0,
    outside: 1,
  })
  assert.deepEqual(
    records.since(2, MANY, MANY)?.map(({ key, value }) => [key, value]),
    [
      ['k/c', undefined],
      ['k/a', 'new'],
    ],
    'what came and went in one command is not told',
  )
})

test('keys are sorted by their characters, those of the command itself among them', () => {
  const records = new JournalRecords()
  for (const [i, key] of ['b', 'B', 'a/2', 'a/10', '~'].entries()) put(records, i + 1, key, i)
  const keys = change(records, 9, (tx) => {
    for (const key of ['a/1', '!', 'C']) tx.put(key, 0)
    tx.delete('B')
    return [tx.keys(''), tx.keys('a/')]
  })
  assert.deepEqual(keys, [
    ['!', 'C', 'a/1', 'a/10', 'a/2', 'b', '~'],
    ['a/1', 'a/10', 'a/2'],
  ])
})

test('keys and values up to their limits are taken, and one past them is refused', () => {
  const records = new JournalRecords()
  const key = 'k'.repeat(MAX_KEY)
  put(records, 1, key, 1)
  assert.equal(records.get(key)?.value, 1)
  for (const bad of [`${key}k`, '', 'a b', 'é', 'a\n', '\u007f'])
    assert.equal(
      codeOf(() => put(records, 2, bad, 1)),
      'MSG001',
      JSON.stringify(bad.slice(0, 10)),
    )
  put(records, 3, 'v', textOf(MAX_VALUE_BYTES - 1))
  assert.equal(
    codeOf(() => put(records, 4, 'v', textOf(MAX_VALUE_BYTES))),
    'MSG001',
  )
  assert.equal(records.get('v')?.version, 3)
})

test('a full journal takes what makes it no larger, and has room again for what was deleted', () => {
  const records = new JournalRecords(100)
  put(records, 1, 'a', textOf(49))
  put(records, 2, 'b', textOf(49))
  assert.equal(records.bytes(), 100)
  assert.equal(
    codeOf(() => put(records, 3, 'c', 1)),
    'COM003',
  )
  assert.equal(
    codeOf(() => put(records, 3, 'a', textOf(50))),
    'COM003',
  )
  put(records, 4, 'a', textOf(49))
  put(records, 5, 'a', textOf(48))
  assert.equal(
    codeOf(() => put(records, 6, 'c', 1)),
    'COM003',
    'one byte is not enough',
  )
  change(records, 7, (tx) => {
    tx.delete('b')
    tx.put('c', textOf(50))
  })
  assert.equal(records.bytes(), 100)
  assert.equal(records.count(), 2)
})

test('a full journal still takes what the mesh keeps of itself', () => {
  const records = new JournalRecords(10)
  put(records, 1, 'a', textOf(9))
  put(records, 2, '$epochs/1', 'x')
  assert.equal(
    codeOf(() => put(records, 3, 'b', 1)),
    'COM003',
  )
  let index = 4
  while (codeOf(() => put(records, index, `$${index}`, textOf(100_000))) === 'nothing') index += 1
  assert.ok(records.bytes() <= 10 + MESH_BYTES, `${records.bytes()} bytes`)
})

test('one command may change so much and no more', () => {
  const records = new JournalRecords()
  const value = textOf(100_000)
  const each = CHANGE_BYTES + value.length + 2 + 2
  const fit = Math.floor(MAX_ENTRY_BYTES / each)
  change(records, 1, (tx) => {
    for (let i = 0; i < fit; i += 1) tx.put(`${10 + i}`, value)
    // The same again takes no more room.
    tx.put('10', value)
  })
  assert.equal(records.count(), fit)
  const more = () =>
    change(records, 2, (tx) => {
      for (let i = 0; i <= fit; i += 1) tx.put(`${10 + i}`, value)
    })
  assert.equal(codeOf(more), 'MSG001')
  change(records, 3, (tx) => {
    for (let i = 0; i < fit; i += 1) tx.put(`${10 + i}`, value)
    tx.delete('10')
    tx.put('new', textOf(80_000))
  })
  assert.equal(records.count(), fit)
})

test('a value is kept as JSON has it, and cannot be changed from outside', () => {
  const records = new JournalRecords()
  const value = { list: [1, { deep: true }], zero: -0, none: undefined } as unknown as Json
  put(records, 1, 'a', value)
  const kept = records.get('a')?.value as { list: unknown[]; zero: number }
  assert.deepEqual(Object.keys(kept), ['list', 'zero'])
  assert.ok(Object.is(kept.zero, 0))
  ;(value as unknown as { list: unknown[] }).list.push(2)
  assert.equal(kept.list.length, 2)
  assert.throws(
    () => change(records, 2, (tx) => (tx.get('a') as unknown as { list: unknown[] }).list.push(3)),
    TypeError,
  )
  const nested = (depth: number): Json => {
    let inner: Json = 1
    for (let i = 0; i < depth; i += 1) inner = [inner]
    return inner
  }
  put(records, 3, 'deep', nested(MAX_JSON_DEPTH))
  const bad = [
    nested(MAX_JSON_DEPTH + 1),
    nested(100_000),
    Number.NaN,
    Number.POSITIVE_INFINITY,
    undefined,
    new Date(0),
  ]
  for (const one of [...bad, new Map(), [undefined], new Array(2), new Uint8Array(1), () => 1])
    assert.equal(
      codeOf(() => put(records, 4, 'b', one as Json)),
      'MSG001',
    )
  records.restore(JSON.parse(JSON.stringify(records.all())), 4)
  assert.throws(
    () => change(records, 5, (tx) => (tx.get('a') as unknown as { list: unknown[] }).list.push(3)),
    TypeError,
  )
})

test('a list comes in pages, by number and by size', () => {
  const records = new JournalRecords()
  for (let i = 0; i < 10; i += 1) put(records, i + 1, `p/${i}`, textOf(100))
  put(records, 11, 'o', 1)
  put(records, 12, 'q', 1)
  const pages = (prefix: string, most: number, mostBytes: number): string[][] => {
    const found: string[][] = []
    for (let after = ''; ; ) {
      const page = records.list(prefix, after, most, mostBytes).map(({ key }) => key)
      const last = page.at(-1)
      if (last === undefined) return found
      found.push(page)
      after = last
    }
  }
  assert.deepEqual(
    pages('p/', 4, MANY).map((page) => page.length),
    [4, 4, 2],
  )
  assert.deepEqual(
    pages('p/', 100, 3 * 103).map((page) => page.length),
    [3, 3, 3, 1],
  )
  assert.deepEqual(
    pages('p/', 100, 1).map((page) => page.length),
    Array(10).fill(1),
    'at least one',
  )
  assert.deepEqual(pages('', 100, MANY).flat().length, 12)
  assert.deepEqual(pages('nothing', 100, MANY), [])
  assert.deepEqual(
    records.list('p/', 'p/7', 100, MANY).map(({ key }) => key),
    ['p/8', 'p/9'],
  )
  assert.deepEqual(records.list('p/', 'z', 100, MANY), [])
})

test('changes come oldest first, and those of one entry are not parted', () => {
  const records = new JournalRecords()
  put(records, 1, 'a', 1)
  change(records, 2, (tx) => {
    for (const key of ['b', 'c', 'd']) tx.put(key, 2)
  })
  put(records, 5, 'e', 5)
  const keys = (version: number, most: number, bytes = MANY) =>
    records.since(version, most, bytes)?.map(({ key }) => key)
  assert.deepEqual(keys(0, 100), ['a', 'b', 'c', 'd', 'e'])
  assert.deepEqual(keys(0, 2), ['a', 'b', 'c', 'd'])
  assert.deepEqual(keys(1, 1), ['b', 'c', 'd'])
  assert.deepEqual(keys(1, 100, 1), ['b', 'c', 'd'])
  assert.deepEqual(keys(0, 100, 2 * CHANGE_BYTES + 10), ['a', 'b', 'c', 'd'], 'cut only where an entry ends')
  assert.deepEqual(keys(0, 100, CHANGE_BYTES + 10), ['a'])
  assert.deepEqual(keys(2, 100), ['e'])
  assert.deepEqual(keys(4, 100), ['e'])
  assert.deepEqual(keys(5, 100), [])
  assert.deepEqual(keys(99, 100), [], 'a follower that is further than this member waits')
})

test('changes are forgotten by number, oldest first, and who is further back is told so', () => {
  const records = new JournalRecords()
  for (let i = 1; i <= MAX_CHANGES; i += 1) put(records, i, 'a', i)
  assert.equal(records.since(0, MANY, MANY * 100)?.length, MAX_CHANGES)
  put(records, MAX_CHANGES + 1, 'a', 0)
  assert.equal(records.since(0, MANY, MANY * 100), undefined)
  const floor = Array.from({ length: MAX_CHANGES }, (_, i) => i).findIndex(
    (version) => records.since(version, 1, MANY) !== undefined,
  )
  const left = records.since(floor, MANY, MANY * 100) ?? []
  assert.equal(left[0]?.fence.index, floor + 1)
  assert.equal(left.length, MAX_CHANGES + 1 - floor)
  assert.ok(left.length > MAX_CHANGES / 3)
})

test('changes are forgotten by size too', () => {
  const records = new JournalRecords()
  const value = textOf(200_000)
  const fit = Math.floor(MAX_CHANGES_BYTES / (200_000 + CHANGE_BYTES + 1))
  for (let i = 1; i <= fit; i += 1) put(records, i, 'a', value)
  assert.notEqual(records.since(0, 1, 1), undefined)
  put(records, fit + 1, 'a', value)
  assert.equal(records.since(0, 1, 1), undefined)
  assert.notEqual(records.since(fit, 1, 1), undefined)
})

test('an entry with very many changes is told as a whole, or not at all', () => {
  const records = new JournalRecords()
  const many = Math.floor(MAX_ENTRY_BYTES / (CHANGE_BYTES + 6))
  change(records, 5, (tx) => {
    for (let i = 0; i < many; i += 1) tx.put(`k${1000 + i}`, 1)
  })
  assert.equal(records.since(4, 1, 1)?.length, many)
  change(records, 6, (tx) => {
    for (let i = 0; i < many; i += 1) tx.delete(`k${1000 + i}`)
  })
  assert.equal(records.since(4, 1, 1), undefined)
  assert.ok([0, many].includes(records.since(5, 1, 1)?.length ?? 0))
  assert.deepEqual(records.since(6, 1, 1), [])
})

test('what was restored takes the place of everything, and nothing before it can be followed', () => {
  const records = new JournalRecords()
  put(records, 1, 'a', 1)
  records.restore([{ key: 'b', version: 3, term: 2, size: 2, value: 5 }], 7)
  assert.deepEqual([records.get('a'), records.get('b')?.value, records.bytes(), records.count()], [undefined, 5, 2, 1])
  assert.equal(records.since(6, 10, MANY), undefined)
  assert.deepEqual(records.since(7, 10, MANY), [])
  put(records, 9, 'c', 1)
  assert.deepEqual(
    records.since(7, 10, MANY)?.map(({ key }) => key),
    ['c'],
  )
  assert.deepEqual(
    records.list('', '', 10, MANY).map(({ key }) => key),
    ['b', 'c'],
  )
})

test('it does what a plain table does, whatever the commands', () => {
  const key = fc.constantFrom('a', 'a/1', 'a/2', 'b', 'b/1', 'c', '$x')
  const value = fc.oneof(fc.nat(9), fc.string({ maxLength: 12 }), fc.constant(null))
  const step = fc.oneof(
    fc.record({ do: fc.constant('put' as const), key, value }),
    fc.record({ do: fc.constant('delete' as const), key }),
  )
  const command = fc.record({ steps: fc.array(step, { maxLength: 6 }), fails: fc.boolean() })
  const room = 60
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      const records = new JournalRecords(room)
      let model = new Map<string, { value: Json; version: number }>()
      const states = [new Map(model)]
      const size = (table: typeof model): number =>
        [...table].reduce((sum, [name, one]) => sum + name.length + JSON.stringify(one.value).length, 0)
      for (const [i, { steps, fails }] of commands.entries()) {
        const index = i + 1
        const next = new Map(model)
        let works = true
        for (const one of steps) {
          if (one.do === 'delete') next.delete(one.key)
          else {
            const grown = new Map(next).set(one.key, { value: one.value, version: index })
            const isLarger = size(grown) > size(next)
            if (isLarger && size(grown) > room && !one.key.startsWith('$')) {
              works = false
              break
            }
            next.set(one.key, { value: one.value, version: index })
          }
        }
        if (fails) works = false
        const done = codeOf(() =>
          change(records, index, (tx) => {
            for (const one of steps) {
              if (one.do === 'put') tx.put(one.key, one.value)
              else tx.delete(one.key)
            }
            assert.deepEqual(tx.keys('a'), [...next.keys()].filter((name) => name.startsWith('a')).sort())
            if (fails) throw new ParleyError('APP001', 'as it should')
          }),
        )
        assert.equal(done === 'nothing', works)
        if (works) model = next
        states.push(new Map(model))
        assert.equal(records.bytes(), size(model))
        assert.deepEqual(
          records.list('', '', 100, MANY).map((one) => [one.key, one.value, one.version]),
          [...model].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, one]) => [name, one.value, one.version]),
        )
      }
      // Whoever follows from any version has the same table in the end.
      for (const [version, state] of states.entries()) {
        const table = new Map([...state].map(([name, one]) => [name, one.value]))
        for (const one of records.since(version, MANY, MANY) ?? []) {
          if (one.value === undefined) table.delete(one.key)
          else table.set(one.key, one.value)
        }
        assert.deepEqual(table, new Map([...model].map(([name, one]) => [name, one.value])))
      }
    }),
    { numRuns: 200 },
  )
})
