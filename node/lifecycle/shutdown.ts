/**
 * How a node leaves: the drain, then one step after the other.
 *
 * State: whether it drains or stops, and until when what runs may still run. Each step is limited in time, and the next
 * one follows when one fails: a part that hangs must not keep the others from closing.
 */
import { within } from '../../protocols/async.ts'
import type { Log } from '../../protocols/port.ts'
import { clock, timers } from '../platform/platform.ts'

/** One step; `leftMs` is what is left of the time to drain. */
export interface ShutdownStep {
  /** For the log: "the goodbye". */
  what: string
  /** Waits for running work, and so for what is left of the time to drain, beside its own limit. */
  drains?: boolean
  run(leftMs: number): Promise<unknown>
}

export interface ShutdownDeps {
  log: Log
  /** Milliseconds that running work has, in both directions together. */
  drainMs(): number
  drain: readonly ShutdownStep[]
  stop(): readonly ShutdownStep[]
  /** From here on the node drains; from there on it stops. */
  onPhase(phase: 'drain' | 'stop'): void
}

export interface Shutdown {
  drain(): Promise<void>
  stop(): Promise<void>
}

const STEP_LIMIT_MS = 3_000
/** The log names a step that took longer. */
const SLOW_MS = 2_000

export const createShutdown = ({ log, drainMs, drain, stop, onPhase }: ShutdownDeps): Shutdown => {
  let endsAt = 0
  let drained: Promise<void> | undefined
  let stopped: Promise<void> | undefined
  const leftMs = (): number => Math.max(0, endsAt - clock.monotonic())

  const take = async ({ what, drains = false, run }: ShutdownStep): Promise<void> => {
    const startedAt = clock.monotonic()
    const drainedMs = drains ? leftMs() : 0
    const limitMs = STEP_LIMIT_MS + drainedMs
    const step = run(leftMs()).catch((error: unknown) => log.warn(`${what} did not stop cleanly`, { error }))
    const isLate = !(await within(timers, limitMs, step))
    const tookMs = Math.round(clock.monotonic() - startedAt)
    if (isLate) log.warn(`${what} took more than ${Math.round(limitMs)} ms to stop; going on`, {})
    else if (tookMs > SLOW_MS && tookMs >= drainedMs) {
      log.warn(`${what} took ${tookMs} ms to stop`, drains ? { cancelled: 'what still ran then' } : {})
    }
  }

  const drainAll = async (): Promise<void> => {
    onPhase('drain')
    endsAt = clock.monotonic() + drainMs()
    for (const step of drain) await take(step)
  }
  const drainOnce = (): Promise<void> => {
    drained ??= drainAll()
    return drained
  }
  const stopAll = async (): Promise<void> => {
    await drainOnce()
    onPhase('stop')
    for (const step of stop()) await take(step)
  }

  return {
    drain: drainOnce,
    stop() {
      stopped ??= stopAll()
      return stopped
    },
  }
}
