/** Groups of commits against a model: what each group holds, in which order, and what becomes of all at a failure. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createGroupCommit, type GroupCommit, type RowWrites } from '../../../../../node/store/rows/group-commit.ts'
import { failureOf } from '../../../../support/until.ts'
import { bytes, put, text } from '../messages/row-stores.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

interface Hand {
  readonly groups: GroupCommit
  /** What was given to be written, as texts. */
  readonly written: Record<string, string | undefined>[]
  /** Ends the write under way. */
  finish(error?: Error): Promise<void>
  readonly delays: { readonly delayMs: number; readonly fn: () => void; isStopped: boolean }[]
  readonly failures: unknown[]
}

const inHand = (): Hand => {
  const written: Hand['written'] = []
  const delays: Hand['delays'] = []
  const failures: unknown[] = []
  let writing: PromiseWithResolvers<void> | undefined
  const groups = createGroupCommit({
    timers: {
      after(delayMs, fn) {
        const delay = { delayMs, fn, isStopped: false }
        delays.push(delay)
        return () => {
          delay.isStopped = true
        }
      },
    },
    write(rows: RowWrites) {
      assert.equal(writing, undefined, 'one at a time')
      written.push(Object.fromEntries([...rows].map(([key, value]) => [key, text(value)])))
      writing = Promise.withResolvers()
      return writing.promise
    },
    onFailure(error) {
      failures.push(error)
      return new Error('refused')
    },
  })
  return {
    groups,
    written,
    delays,
    failures,
    async finish(error) {
      const now = writing
      writing = undefined
      if (error === undefined) now?.resolve()
      else now?.reject(error)
      await turn()
      await turn()
    },
  }
}

test('all that is called while one group is written is the next one, the last of each key', async () => {
  const { groups, written, finish } = inHand()
  const first = [groups.commit([put('a', '1')]), groups.commit([put('b', '1'), { key: 'a', value: undefined }])]
  await turn()
  assert.deepEqual(written, [{ a: undefined, b: '1' }])
  groups.later([put('c', '1')])
  const second = groups.commit([put('a', '2')])
  groups.later([put('c', '2')])
  assert.deepEqual(groups.pending('b'), { value: bytes('1') })
  assert.deepEqual(groups.pending('a'), { value: bytes('2') })
  assert.equal(groups.pending('x'), 'none')
  await finish()
  await Promise.all(first)
  assert.deepEqual(written[1], { c: '2', a: '2' })
  assert.equal(groups.pending('b'), 'none')
  await finish()
  await second
  await turn()
  assert.equal(written.length, 2)
})

test('a function is asked once, when its group begins, whatever was called since', async () => {
  const { groups, written, finish } = inHand()
  let [called, asked] = [0, 0]
  const value = (): Uint8Array => {
    asked += 1
    return bytes(String(called))
  }
  const commit = (): Promise<void> => {
    called += 1
    return groups.commit([put(`n/${called}`, ''), { key: 'called', value }])
  }
  const all = [commit()]
  await turn()
  all.push(commit(), commit(), commit())
  assert.equal(groups.pending('called'), 'asked')
  await finish()
  assert.deepEqual(
    written.map((rows) => rows.called),
    ['1', '4'],
  )
  await finish()
  await Promise.all(all)
  assert.equal(asked, 2)
})

test('what is put off waits 50 ms, or goes with a commit; 10,000 rows wait no longer', async () => {
  const { groups, written, delays, finish } = inHand()
  groups.later([put('a', '1')])
  groups.later([put('b', '1')])
  await turn()
  assert.deepEqual([written.length, delays.map(({ delayMs }) => delayMs)], [0, [50]])
  const done = groups.commit([])
  await turn()
  assert.deepEqual([written, delays[0]?.isStopped], [[{ a: '1', b: '1' }], true])
  await finish()
  await done
  groups.later([put('c', '1')])
  delays[1]?.fn()
  await turn()
  assert.deepEqual(written[1], { c: '1' })
  await finish()
  for (let i = 0; i < 10_000; i += 1) groups.later([put(`k/${i}`, '')])
  await turn()
  assert.equal(written.length, 2)
  groups.later([put('one more', '')])
  await turn()
  assert.equal(Object.keys(written[2] ?? {}).length, 10_001)
  await finish()
})

test('at a failure what is written, what waits and what comes is refused', async () => {
  const { groups, written, failures, finish } = inHand()
  const first = failureOf(groups.commit([put('a', '1')]))
  await turn()
  const second = failureOf(groups.commit([put('b', '1')]))
  const settled = failureOf(groups.settled())
  const wrong = new Error('no')
  await finish(wrong)
  const third = failureOf(groups.commit([put('c', '1')]))
  for (const failure of [first, second, settled, third]) assert.equal(String(await failure), 'Error: refused')
  groups.later([put('d', '1')])
  await turn()
  assert.deepEqual([failures, written.length], [[wrong], 1])
})

test('whatever is called and however long writes take, each group is what was called since the one before', async () => {
  const call = fc.record({
    kind: fc.constantFrom('commit', 'later', 'finish', 'turn'),
    keys: fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 3 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 40 }), async (calls) => {
      const { groups, written, finish } = inHand()
      const model: Record<string, string> = {}
      const waiting: Promise<void>[] = []
      const answered: number[] = []
      let n = 0
      const next = (key: string) => {
        n += 1
        return { key, value: String(n) }
      }
      for (const { kind, keys } of calls) {
        if (kind === 'finish') await finish()
        else if (kind === 'turn') await turn()
        else {
          const changes = keys.map(next)
          for (const { key, value } of changes) model[key] = value
          const rows = changes.map(({ key, value }) => put(key, value))
          const index = waiting.length
          if (kind === 'later') groups.later(rows)
          else waiting.push(groups.commit(rows).then(() => void answered.push(index)))
        }
        for (const [key, value] of Object.entries(model)) {
          const pending = groups.pending(key)
          const known =
            typeof pending === 'object' ? text(pending.value) : written.findLast((rows) => key in rows)?.[key]
          assert.equal(known, value)
        }
        assert.deepEqual(
          answered,
          answered.map((_, i) => i),
        )
      }
      const settled = groups.settled()
      for (let i = 0; i < 4; i += 1) await finish()
      await settled
      await Promise.all(waiting)
      assert.deepEqual(Object.assign({}, ...written), model)
    }),
  )
})
