/** Settings of a simulated node, at random: mostly small, so that every bound is met. Keeps no state. */

import type { DeliveryOptions } from '../../../protocols/delivery/options.ts'
import type { BreakerSettings } from '../../../protocols/delivery/recovery/circuit-breaker.ts'

const pickFrom =
  (random: () => number) =>
  <T>(...list: readonly [T, ...T[]]): T =>
    list[Math.floor(random() * list.length)] ?? list[0]

export const optionsFrom = (random: () => number): DeliveryOptions => {
  const pick = pickFrom(random)
  return {
    window: pick(1, 2, 5, 20, 100),
    windowBytes: pick(1_024, 4_096, 1_000_000),
    rebindAfterMs: pick(100, 800, 3_000, 60_000),
    ackTimeoutMs: pick(300, 1_000, 3_000),
    retry: { maxRetries: pick(0, 2, 5, 20), initialDelayMs: pick(20, 200), maxDelayMs: pick(300, 2_000) },
    outboxMessages: pick(30, 100, 1_000),
    outboxBytes: pick(100_000, 1_000_000),
    outboxMemoryBytes: pick(0, 600, 1_000_000),
    roomTimeoutMs: pick(100, 2_000),
    concurrency: pick(1, 3, 16),
    heldBytes: pick(1_024, 1_000_000),
    handlerTimeoutMs: pick(300, 1_000),
    deadLetters: 100_000,
  }
}

export const breakerFrom = (random: () => number): BreakerSettings => {
  const pick = pickFrom(random)
  return { failures: pick(0, 2, 5), windowMs: 5_000, halfOpenAfterMs: pick(300, 3_000) }
}
