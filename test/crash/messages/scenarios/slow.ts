/**
 * A receiver that is far slower than its sender wants to be: what waits is bounded on both sides, the sender is slowed down
 * or told COM003, and once the receiver is fast again all of it arrives.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { MeshOptionsInput } from '../../../../node/index.ts'
import type { MessageFindings } from '../play.ts'
import { sending } from '../sending.ts'
import { type MessageStage, RECEIVER, SENDER } from '../stage.ts'
import type { KindName } from '../streams.ts'
import type { Memory } from '../verbs.ts'

/** Handlers of the receiver at once, and what each takes: 40 messages a second. */
const CONCURRENCY = 4
const SLOW_MS = 100
const OUTBOX = 5_000
const KINDS: readonly KindName[] = ['c', 'u', 'p', 'q']
const SAMPLE_MS = 1_000
const WARM = 500
/** More than these after warming up is a leak: a full outbox has 5,000 messages in memory. */
const MAX_HEAP_GROWTH_MIB = 48
const MAX_RSS_MIB = 400
const FACTOR = 100
const DRAIN_MS = 180_000

export const SLOW_OPTIONS: MeshOptionsInput = {
  delivery: { concurrency: CONCURRENCY, outboxMessages: OUTBOX, roomTimeoutMs: 1_000 },
}

const most = (samples: readonly Memory[], of: keyof Memory): number => Math.max(...samples.map((one) => one[of]))

export const slowReceiver =
  (seconds: number) =>
  async (stage: MessageStage): Promise<MessageFindings> => {
    const [sender, receiver] = [stage.party(SENDER), stage.party(RECEIVER)]
    const violations: string[] = []
    const send = sending(stage, KINDS)
    const warmedAt = performance.now()
    await send('a', WARM)
    const perSecond = (1_000 * WARM) / (performance.now() - warmedAt)
    await stage.drained()
    const parties = [sender, receiver]
    const first = await Promise.all(parties.map((party) => party.ask('memory')))
    const samples: Memory[][] = [[], []]

    // As slow as it takes, where this machine is fast.
    const slowMs = Math.max(SLOW_MS, (1_000 * CONCURRENCY * FACTOR) / perSecond)
    await receiver.ask('slowDown', slowMs)
    const before = (await receiver.ask('figures')).counts.processed ?? 0
    const running = send('b', Number.MAX_SAFE_INTEGER)
    const endsAt = performance.now() + seconds * 1_000
    let mostWaiting = 0
    while (performance.now() < endsAt) {
      await delay(SAMPLE_MS)
      for (const [i, party] of parties.entries()) {
        samples[i]?.push(await party.ask('memory'))
        const { outbox, held } = await party.ask('figures')
        mostWaiting = Math.max(mostWaiting, outbox, held)
      }
    }
    const processed = ((await receiver.ask('figures')).counts.processed ?? 0) - before
    await sender.ask('halt')
    const { refused } = await running
    const waited = (await sender.ask('figures')).counts.waitedForRoom ?? 0
    await receiver.ask('slowDown', 0)
    const drainMs = await stage.drained(DRAIN_MS)
    const { figures, wrong } = await stage.judge()

    const memory: Record<string, number> = {}
    for (const [i, { name }] of parties.entries()) {
      const growth = most(samples[i] ?? [], 'heapMib') - (first[i]?.heapMib ?? 0)
      const rss = most(samples[i] ?? [], 'rssMib')
      memory[`heap growth of ${name}, MiB`] = growth
      memory[`most RSS of ${name}, MiB`] = rss
      if (growth > MAX_HEAP_GROWTH_MIB)
        violations.push(`the heap of ${name} grew by ${Math.round(growth)} MiB, at most ${MAX_HEAP_GROWTH_MIB}`)
      if (rss > MAX_RSS_MIB) violations.push(`${name} takes ${Math.round(rss)} MiB, at most ${MAX_RSS_MIB}`)
    }
    const others = Object.keys(refused).filter((code) => !code.startsWith('COM003'))
    if (others.length > 0) violations.push(`sends failed with ${others.join(', ')}`)
    if (waited === 0 && figures.messages >= OUTBOX) violations.push('no sender had to wait')
    if (mostWaiting > OUTBOX) violations.push(`${mostWaiting} messages waited, at most ${OUTBOX} may`)
    return {
      figures: {
        ...figures,
        'fast, per second': perSecond,
        'slow, per second': processed / seconds,
        'most waiting': mostWaiting,
        'waited for room': waited,
        'refused with COM003': refused.COM003 ?? 0,
        'drained, ms': drainMs,
        ...memory,
      },
      violations: [...violations, ...wrong],
    }
  }
