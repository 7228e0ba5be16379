/** Waiting for tasks while nobody coordinates for longer than one use of the journal may take. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { GivenShare } from '../../../../protocols/budget/carried/budget-share.ts'
import { Slice } from '../../../../protocols/budget/slice.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { createTaskHandle, type HandleDeps } from '../../../../protocols/task/client/task-handle.ts'
import { stateOf } from '../../../../protocols/task/client/task-reader.ts'
import { TaskTrackers, type TrackerDeps } from '../../../../protocols/task/client/task-trackers.ts'
import { WatchedShares } from '../../../../protocols/task/client/watched-shares.ts'
import { notFound, type TaskRecord } from '../../../../protocols/task/task-record.ts'
import { failureOf } from '../../../support/until.ts'

/** One use of the journal, as journal-client.ts has it. */
const USE_MS = 30_000

/** A task `t` of this node. While the journal is out each read of it ends after its time. */
const worldOf = () => {
  const time = createVirtualTime()
  let isOut = false
  let record: TaskRecord | undefined = {
    ...{ status: 'running', submitter: 'me', budget: { amounts: { tokens: 40 }, used: { tokens: 15 } } },
  } as unknown as TaskRecord
  const trackers = new TaskTrackers({
    port: { self: { id: 'me' }, timers: time },
    stopped: new AbortController().signal,
    live: async () => {},
    read: (id: string, signal: AbortSignal | undefined) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) reject(signal.reason)
        signal?.addEventListener('abort', () => reject(signal.reason))
        const answer = () => (record === undefined ? reject(notFound(id)) : resolve(stateOf(id, 1, record)))
        const late = new ParleyError('COM001', 'no coordinator answered', { details: { reason: 'no-leader' } })
        if (!isOut) answer()
        else time.after(USE_MS, () => (isOut ? reject(late) : answer()))
      }),
  } as unknown as TrackerDeps)
  const watch: HandleDeps['watch'] = (id, fn, signal) => trackers.watch(id, fn, signal, undefined)
  const handle = createTaskHandle({ port: { timers: time }, watch } as unknown as HandleDeps, 't')
  return {
    ...{ time, trackers, handle },
    out: (is: boolean) => {
      isOut = is
    },
    end: () => {
      record = { ...record, status: 'completed' } as TaskRecord
    },
    forget: () => {
      record = undefined
    },
  }
}

test('what a task leaves comes back that was found to be known while nobody coordinated; of one that is forgotten it is spent', async () => {
  for (const isForgotten of [false, true]) {
    const { time, trackers, out, end, forget } = worldOf()
    const root = new Slice({ amounts: { tokens: 100 }, limits: {} })
    const share = GivenShare.of({ of: root, amounts: { tokens: 40 } }, { now: time.now })
    share.begin()
    const shares = new WatchedShares(trackers, 86_400_000)
    out(true)
    shares.watch('t', undefined, share)
    await time.run(3 * USE_MS)
    assert.deepEqual(shares.counts(), { watched: 1, writtenOff: 0 })
    if (isForgotten) forget()
    else end()
    out(false)
    await time.run(USE_MS)
    assert.deepEqual(shares.counts(), { watched: 0, writtenOff: isForgotten ? 1 : 0 })
    assert.deepEqual(root.remaining(), { tokens: isForgotten ? 60 : 85 })
  }
})

test('who waits for the end of a task and says no time waits as long as it takes; others as long as they say', async () => {
  const { time, handle, out, end } = worldOf()
  out(true)
  const ended = handle.ended()
  const limited = failureOf(handle.ended({ timeoutMs: 2 * USE_MS }))
  await time.run(2 * USE_MS + 1)
  assert.match(String(await limited), /has not ended within 60000 ms/)
  await time.run(USE_MS)
  end()
  out(false)
  assert.equal((await time.settled(ended, USE_MS)).status, 'completed')
})
