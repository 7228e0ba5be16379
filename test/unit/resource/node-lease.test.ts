/** What stands for a node in the journal, while nobody decides for longer than a lease. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { type LeaseDeps, NodeLease } from '../../../protocols/resource/client/node-lease.ts'
import type { ResourceChange } from '../../../protocols/resource/journal/resource-changes.ts'

/** A journal that has another registration for each incarnation; `hold` keeps decisions on their way. */
const leaseOf = () => {
  const time = createVirtualTime()
  const asked: string[] = []
  const over: string[] = []
  const waiting: (() => void)[] = []
  let holds = false
  const registrations = new Map<number, number>()
  const decide = async (change: ResourceChange) => {
    asked.push(change.do)
    if (holds) await new Promise<void>((resolve) => waiting.push(resolve))
    if (change.do !== 'register') return { result: null }
    const { incarnation } = change
    if (!registrations.has(incarnation)) registrations.set(incarnation, registrations.size + 1)
    return { result: { registration: registrations.get(incarnation) } }
  }
  const lease = new NodeLease({
    port: {
      self: { incarnation: 1 },
      clock: { now: time.now, monotonic: time.now },
      timers: time,
      log: { warn() {}, info() {}, error() {} },
    },
    batcher: { decide },
    onOver: (why: string) => over.push(why),
    onRegistered() {},
    onCapacity() {},
  } as unknown as LeaseDeps)
  const hold = (isHeld: boolean): void => {
    holds = isHeld
    if (!isHeld) for (const go of waiting.splice(0)) go()
  }
  return { lease, time, asked, over, hold }
}

test('what was asked for in a life that is over does not begin that life again', async () => {
  const { lease, time, over, hold } = leaseOf()
  await time.settled(lease.offer({ cpu: 1 }), 1_000)
  assert.equal(lease.registration(), 1)
  hold(true)
  const offered = lease.offer({ cpu: 2 })
  await time.run(60_000)
  assert.deepEqual([lease.registration(), over], [undefined, ['the lease of this node is over']])
  hold(false)
  await time.settled(offered, 10_000)
  assert.deepEqual([lease.registration(), lease.capacity()], [2, { cpu: 2 }])
  await time.run(60_000)
  assert.deepEqual([lease.registration(), over.length], [2, 1])
})
