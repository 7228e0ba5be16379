/**
 * Calls at a fixed rate, with a bound on those in flight; what fails is told, what succeeds is counted.
 *
 * State: the calls in flight, the counts. It can be paused: then nothing of it is on its way.
 */
import type { Mesh } from '../../node/index.ts'
import { createCalling, isAddressedByMesh } from './call.ts'
import type { Failure } from './classify.ts'
import { nowMs } from './clock.ts'
import { nextKind } from './mix.ts'
import type { Random } from './random.ts'

/** Calls of one tick to one peer go in one write. */
const TICK_MS = 100
const PEERS_EVERY_TICKS = 2
/** What was not called while this process was held up is not made up for beyond this. */
const MAX_BURST = 120

export interface LoadOptions {
  readonly callsPerSecond: number
  readonly maxInFlight: number
  readonly random: Random
  report(failure: Failure): void
}

export interface LoadCounts {
  answered: number
  cancelled: number
  'timed-out': number
  failed: number
}

export interface Load {
  readonly counts: Readonly<LoadCounts>
  /** Resolves once nothing is in flight. */
  pause(): Promise<void>
  resume(): void
  /** Ends it and waits for what is in flight. */
  stop(): Promise<void>
}

/** A failure as plain data, so that it can be told to another process. */
const failureOf = (error: unknown): Pick<Failure, 'code' | 'message' | 'sent'> => {
  const given = typeof error === 'object' && error !== null ? error : {}
  const details = 'details' in given && typeof given.details === 'object' ? given.details : {}
  return {
    code: 'code' in given ? String(given.code) : error instanceof Error ? error.name : 'unknown',
    message: error instanceof Error ? error.message : String(error),
    sent: details !== null && 'sent' in details && details.sent === true,
  }
}

export const startLoad = (mesh: Mesh, options: LoadOptions): Load => {
  const { random, callsPerSecond, maxInFlight } = options
  const calling = createCalling(mesh, random)
  const counts: LoadCounts = { answered: 0, cancelled: 0, 'timed-out': 0, failed: 0 }
  let peers = calling.peers()
  let serial = 0
  let inFlight = 0
  let ticks = 0
  let due = 0
  let lastAt = nowMs()
  let paused = false
  let drained: (() => void)[] = []

  const call = async (): Promise<void> => {
    const kind = nextKind(random)
    const target = random.pick(peers)
    if (target === undefined) return
    inFlight += 1
    serial += 1
    const startedAt = nowMs()
    const name = mesh.directory.get(target)?.name ?? target
    try {
      counts[await calling.run(kind, target, serial)] += 1
    } catch (error) {
      counts.failed += 1
      const named = isAddressedByMesh(kind) ? undefined : kind === 'self' ? mesh.self.id : target
      options.report({
        caller: mesh.self.id,
        target: named,
        between: `${mesh.self.name} to ${named === undefined ? 'any' : name}`,
        kind,
        ...failureOf(error),
        startedAt,
        endedAt: nowMs(),
      })
    } finally {
      inFlight -= 1
      if (inFlight === 0) for (const go of drained.splice(0)) go()
    }
  }

  const tick = (): void => {
    const at = nowMs()
    due = Math.min(MAX_BURST, due + ((at - lastAt) / 1000) * callsPerSecond)
    lastAt = at
    if (paused) return
    if (ticks % PEERS_EVERY_TICKS === 0) peers = calling.peers()
    ticks += 1
    for (; due >= 1 && inFlight < maxInFlight; due -= 1) void call()
  }
  const timer = setInterval(tick, TICK_MS)

  const quiet = (): Promise<void> =>
    inFlight === 0 ? Promise.resolve() : new Promise((resolve) => drained.push(resolve))

  return {
    counts,
    pause() {
      paused = true
      return quiet()
    },
    resume() {
      paused = false
      lastAt = nowMs()
      drained = []
    },
    stop() {
      paused = true
      clearInterval(timer)
      return quiet()
    },
  }
}
