/** Transactions: as if one after the other, whatever comes between their steps. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createTransactions,
  MAX_CHANGES,
  MAX_KEY_BYTES,
  MAX_VALUE_BYTES,
  type Transaction,
} from '../../../../protocols/delivery/store/transactions.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { isParleyError } from '../../../../protocols/errors.ts'

const KEYS = ['a', 'b', 'c'] as const

/** What one program does, step by step; each step reads one key and writes another one with what it read so far. */
interface Program {
  readonly steps: readonly { readonly reads: string; readonly writes: string | undefined; readonly removes: boolean }[]
}

const program: fc.Arbitrary<Program> = fc.record({
  steps: fc.array(
    fc.record({
      reads: fc.constantFrom(...KEYS),
      writes: fc.option(fc.constantFrom(...KEYS), { nil: undefined }),
      removes: fc.boolean(),
    }),
    { minLength: 1, maxLength: 4 },
  ),
})

/** Reads that take their time, as those of a disk do: they see what was written meanwhile, or do not. */
const slowly = (store: ReturnType<typeof createVolatileRowStore>, pause: () => Promise<void>) => {
  let reads = 0
  return {
    rows: store.rows,
    async get(key: string): Promise<Uint8Array | undefined> {
      reads += 1
      const isOld = reads % 2 === 0
      const before = await store.get(key)
      await pause()
      return isOld ? before : store.get(key)
    },
  }
}

/** @returns what it read, in order; its writes count with it, or not at all */
const perform = async (
  tx: Pick<Transaction, 'get' | 'put' | 'delete'>,
  name: number,
  { steps }: Program,
): Promise<unknown[]> => {
  const seen: unknown[] = []
  for (const [at, { reads, writes, removes }] of steps.entries()) {
    seen.push((await tx.get(reads)) ?? null)
    if (writes === undefined) continue
    if (removes) tx.delete(writes)
    else tx.put(writes, [name, at, seen.length])
  }
  return seen
}

/** The same, one program after another, on a plain map. */
const serially = async (programs: readonly Program[], order: readonly number[]) => {
  const state = new Map<string, unknown>()
  const seen = new Map<number, unknown[]>()
  for (const name of order) {
    const one = programs[name]
    if (one === undefined) continue
    const tx = {
      get: async (key: string) => state.get(key),
      put: (key: string, value: unknown) => void state.set(key, value),
      delete: (key: string) => void state.delete(key),
    }
    seen.set(name, await perform(tx, name, one))
  }
  return { state, seen }
}

/** Lets one of those that pause go on, as the choices say, until nobody pauses any more. */
const createPauses = (choices: readonly number[]) => {
  const waiting: (() => void)[] = []
  return {
    pause: (): Promise<void> => new Promise((resolve) => waiting.push(resolve)),
    async run(): Promise<void> {
      for (let turn = 0; ; turn += 1) {
        await new Promise((resolve) => setImmediate(resolve))
        if (waiting.length === 0) return
        const [next] = waiting.splice((choices[turn % choices.length] ?? 0) % waiting.length, 1)
        next?.()
      }
    },
  }
}

test('programs side by side come to what they come to in the order of their commits', async () => {
  const choices = fc.array(fc.nat({ max: 100 }), { minLength: 1, maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(fc.array(program, { minLength: 2, maxLength: 5 }), choices, async (programs, chosen) => {
      const store = createVolatileRowStore('0'.repeat(32))
      const { pause, run } = createPauses(chosen)
      const transactions = createTransactions(slowly(store, pause))
      const order: number[] = []
      const seen = new Map<number, unknown[]>()
      const attempt = async (name: number, one: Program): Promise<void> => {
        for (;;) {
          const tx = transactions.begin()
          const mine = await perform(tx, name, one)
          await pause()
          if (tx.isStale()) {
            tx.abandon()
            continue
          }
          // In one turn with the look at what it read.
          void store.commit(tx.close())
          order.push(name)
          seen.set(name, mine)
          return
        }
      }
      const all = Promise.all(programs.map((one, name) => attempt(name, one)))
      await run()
      await all
      const expected = await serially(programs, order)
      assert.deepEqual(seen, expected.seen)
      const after = createTransactions(store)
      for (const key of KEYS) assert.deepEqual(await after.get(key), expected.state.get(key), key)
    }),
    { numRuns: 300 },
  )
})

const opened = () => {
  const store = createVolatileRowStore('0'.repeat(32))
  const transactions = createTransactions(store)
  const put = (key: string, value: unknown): void => {
    const tx = transactions.begin()
    tx.put(key, value)
    void store.commit(tx.close())
  }
  return { transactions, put }
}
const isWrong = (error: unknown): boolean => isParleyError(error, 'MSG001')

test('a transaction reads its own writes, and others do not before it counts', async () => {
  const { transactions, put } = opened()
  put('k', 1)
  const tx = transactions.begin()
  tx.put('k', 2)
  tx.delete('gone')
  assert.equal(await tx.get('k'), 2)
  assert.equal(await tx.get('gone'), undefined)
  assert.equal(await transactions.get('k'), 1)
  assert.ok(!tx.isStale(), 'what it wrote itself is no read')
})

test('who read before another one wrote is stale, who read other things or afterwards is not', async () => {
  const { transactions, put } = opened()
  const [early, other] = [transactions.begin(), transactions.begin()]
  await early.get('k')
  await other.get('x')
  put('k', 1)
  const late = transactions.begin()
  await late.get('k')
  assert.deepEqual(
    [early, other, late].map((tx) => tx.isStale()),
    [true, false, false],
  )
})

test('a transaction that has ended takes nothing', async () => {
  const { transactions } = opened()
  const over = transactions.begin()
  over.abandon()
  over.abandon()
  const closed = transactions.begin()
  closed.close()
  for (const tx of [over, closed]) {
    assert.throws(
      () => tx.put('k', 1),
      (error) => isParleyError(error, 'STA003'),
    )
    await assert.rejects(tx.get('k'), (error) => isParleyError(error, 'STA003'))
    assert.throws(
      () => tx.close(),
      (error) => isParleyError(error, 'STA003'),
    )
  }
})

test('keys, values and changes have their bounds, at which they are taken and beyond which they are not', () => {
  const { transactions } = opened()
  const tx = transactions.begin()
  tx.put('k'.repeat(MAX_KEY_BYTES), 1)
  assert.throws(() => tx.put('k'.repeat(MAX_KEY_BYTES + 1), 1), isWrong)
  assert.throws(() => tx.put('é'.repeat(MAX_KEY_BYTES / 2 + 1), 1), isWrong, 'in bytes')
  for (const key of ['', '\ud800']) assert.throws(() => tx.put(key, 1), isWrong)
  tx.put('large', new Uint8Array(MAX_VALUE_BYTES - 5))
  assert.throws(() => tx.put('large', new Uint8Array(MAX_VALUE_BYTES)), isWrong)
  assert.throws(() => tx.put('k', undefined), isWrong)
  for (let i = 2; i < MAX_CHANGES; i += 1) tx.put(`${i}`, i)
  assert.throws(() => tx.put('one more', 1), isWrong)
  tx.put('large', 1)
  assert.equal(tx.close().length, MAX_CHANGES)
})

test('keys are listed by prefix, in order and in pages', async () => {
  const { transactions, put } = opened()
  for (const key of ['b/2', 'a', 'b/1', 'b/3', 'c']) put(key, key)
  const keys = async (limit: number, after?: string) =>
    (await transactions.list('b/', limit, after)).map(({ key }) => key)
  assert.deepEqual(await keys(2), ['b/1', 'b/2'])
  assert.deepEqual(await keys(2, 'b/2'), ['b/3'])
})
