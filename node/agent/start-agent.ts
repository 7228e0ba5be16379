/**
 * An agent module in a worker thread of this node: started, watched, started again when it crashes, stopped.
 *
 * A handler that computes for a minute keeps its own thread busy, not the node's: failure detection, gossip and other
 * protocols go on. State: the current thread, the times of the last crashes, whether it is stopping. Guarantees: at most one thread at
 * a time; requests that were in a crashed thread fail with COM002 (`sent: true`), so that idempotent ones go to another
 * peer; after more than `maxRestarts` crashes within `windowMs` it is given up.
 */
import { stat } from 'node:fs/promises'
import { resolve as resolvePath } from 'node:path'
import { pause } from '../../protocols/async.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import { createRegistration, type Registration } from '../../protocols/registration.ts'
import type { Mesh } from '../api.ts'
import { fileError, systemCode } from '../platform/private-file.ts'
import { WorkerThread } from './worker-thread.ts'

/** When a crashed agent is started again. */
export interface RestartLimits {
  /** Crashes within the window that are forgiven; the next one is the last. */
  readonly maxRestarts: number
  readonly windowMs: number
  /** Wait after the first crash of a window; it doubles with each. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
}

export interface AgentOptions {
  /** Milliseconds that a stop waits for requests in work; 5,000 unless told. */
  drainMs?: number
  /** Milliseconds that the agent's own stop() has; 2,000 unless told. */
  stopMs?: number
  /**
   * Requests that are in the agent at one time, 512 unless told; further ones are refused with COM003. Keep it below the
   * node's limits.maxActive, or an agent that is stuck takes every place that the node has.
   */
  maxRuns?: number
  /** Bytes of those requests together, 64 MiB unless told. */
  maxRunBytes?: number
  /** When a crashed agent is started again; at most 5 times within 60 s unless told. */
  restart?: Partial<RestartLimits>
}

/** `stop` lets requests in work end, calls the agent's stop(), ends its thread. */
export interface RunningAgent extends Registration {
  /**
   * Resolves when the agent has started for the first time.
   * Rejects with MSG001 for a module that is missing or exports no agent, STA003 when a protocol is served already,
   * APP001 when its own code fails.
   */
  readonly ready: Promise<void>
  /** Resolves when the agent was stopped; rejects as `ready` does, and with APP001 when it crashed too often. */
  readonly exited: Promise<void>
}

const MAX_RUNS = 512
const MAX_RUN_BYTES = 64 * 1024 * 1024
const DRAIN_MS = 5_000
const STOP_MS = 2_000

export const RESTART_LIMITS: RestartLimits = {
  maxRestarts: 5,
  windowMs: 60_000,
  backoffMinMs: 250,
  backoffMaxMs: 5_000,
}

/**
 * State: the times of the last crashes.
 * @returns a function to call with the time of each crash (monotonic milliseconds): how long to wait before the next start,
 *   or undefined to give up
 */
export const createRestartPolicy = (
  limits: RestartLimits = RESTART_LIMITS,
): ((nowMs: number) => number | undefined) => {
  let crashes: number[] = []
  return (nowMs) => {
    crashes = [...crashes.filter((at) => nowMs - at < limits.windowMs), nowMs]
    if (crashes.length > limits.maxRestarts) return undefined
    return Math.min(limits.backoffMaxMs, limits.backoffMinMs * 2 ** (crashes.length - 1))
  }
}

const checkFile = async (file: string): Promise<void> => {
  const noFile = (why: string): ParleyError =>
    new ParleyError('MSG001', `the agent module ${file} ${why}`, {
      hint: 'name a .ts or .js file whose default export was made by defineAgent()',
      details: { file },
    })
  try {
    if (!(await stat(file)).isFile()) throw noFile('is no file')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw noFile('does not exist')
    throw isParleyError(error) ? error : fileError('reading', file, error)
  }
}

const failed = (file: string, error: Error): ParleyError =>
  isParleyError(error)
    ? error
    : new ParleyError('APP001', `the agent ${file} ended before it had started: ${error.message}`, {
        hint: 'its own code threw this or ended the thread; run it by itself with node to see where',
        cause: error,
      })

const givenUp = (file: string, limits: RestartLimits, error: Error): ParleyError =>
  new ParleyError(
    'APP001',
    `the agent ${file} crashed more than ${limits.maxRestarts} times within ${limits.windowMs / 1000} s and is not started again: ${error.message}`,
    { hint: "mend the agent, then start its node again; the node's log has each crash", cause: error },
  )

/**
 * Starts the agent module `file` in a worker thread of this node.
 * @returns at once; `ready` tells when it serves
 */
export const startAgent = (mesh: Mesh, file: string, options: AgentOptions = {}): RunningAgent => {
  const path = resolvePath(file)
  const { log, clock, timers } = mesh.port
  const { drainMs = DRAIN_MS, stopMs = STOP_MS, maxRuns = MAX_RUNS, maxRunBytes = MAX_RUN_BYTES } = options
  const limits: RestartLimits = { ...RESTART_LIMITS, ...options.restart }
  const crashed = createRestartPolicy(limits)
  const ready = Promise.withResolvers<void>()
  let thread: WorkerThread | undefined
  const stopping = new AbortController()

  /** Starts one thread after the other; returns when it was stopped. */
  const superviseThread = async (): Promise<void> => {
    await checkFile(path)
    let everReady = false
    while (!stopping.signal.aborted) {
      thread = new WorkerThread(mesh, path, { maxRuns, maxRunBytes, stopMs })
      await thread.ready.then(
        () => {
          everReady = true
          ready.resolve()
        },
        () => {},
      )
      const error = await thread.ended
      if (error === undefined) return
      if (!everReady) throw failed(path, error)
      const delayMs = crashed(clock.monotonic())
      if (delayMs === undefined) {
        log.error('an agent crashed too often and is given up', { file: path, error })
        throw givenUp(path, limits, error)
      }
      log.error('an agent crashed; it is started again', { file: path, error, delayMs })
      await pause(timers, delayMs, stopping.signal)
    }
  }

  const exited = superviseThread().then(
    () => ready.reject(stopped(path)),
    (error: unknown) => {
      ready.reject(error)
      throw error
    },
  )
  // Nobody has to wait for them; then their rejections are no unhandled ones.
  ready.promise.catch(() => {})
  exited.catch(() => {})

  return {
    ready: ready.promise,
    exited,
    ...createRegistration(async () => {
      stopping.abort()
      thread?.stop(drainMs)
      await exited.catch(() => {})
    }),
  }
}

const stopped = (file: string): ParleyError =>
  new ParleyError('COM002', `the agent ${file} was stopped before it had started`, { hint: 'start it again' })
