/**
 * One life of an agent's worker thread, on the node's side: from its start to its exit.
 *
 * State: the thread, the channel to it, what is served for it, and whether it still takes requests. Guarantees: when
 * `ended` resolves, the thread is gone, what ran in it has failed with COM002 (`sent: true`), what it had asked the mesh
 * for is cancelled, and its protocols are withdrawn.
 */
import { Worker } from 'node:worker_threads'
import type { Progress } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Endpoint, MethodFacts, RunMethod, Served } from '../../protocols/wire/payload/contract.ts'
import type { Unserve } from '../api.ts'
import { sharedNow } from './channel/shared-clock.ts'
import { type ChannelMessage, createThreadChannel, type ThreadChannel } from './channel/thread-channel.ts'
import type { OfferFacts, RequestToAgent, ThreadRunRequest, WorkerStartData } from './channel/thread-requests.ts'
import { fromTransferableError } from './channel/transferable-error.ts'
import { type AgentMesh, createNodeRequestHandler } from './node-request-handler.ts'

export interface WorkerThreadLimits {
  /** Requests that are in the agent at one time; below the node's limits.maxActive, which they share with its own. */
  readonly maxRuns: number
  readonly maxRunBytes: number
  /** Milliseconds that the agent's stop() has. */
  readonly stopMs: number
}

export interface WorkerThread {
  /** Resolves when the agent has started, rejects when it could not. */
  readonly ready: Promise<void>
  /** Resolves with what ended it; undefined when it was stopped. */
  readonly ended: Promise<Error | undefined>
  /** Refuses new requests, lets those in work end, tells the agent, ends the thread. Calling it again is harmless. */
  stop(drainMs: number): void
}

const RETRY_AFTER_MS = 300

/** The build renames what is imported, and this is not. */
const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)

/** The router tells every caller of COM002 that its request was sent; what never reached the agent says COM003. */
const lost = (file: string, sent: boolean): ParleyError =>
  sent
    ? new ParleyError('COM002', `the agent ${file} ended before the request was done`, {
        hint: 'call another peer; its node starts it again unless it was stopped',
        details: { sent },
      })
    : new ParleyError('COM003', `the agent ${file} takes no requests: it is stopping or was not started again yet`, {
        hint: 'call another peer, or try again',
        details: { retryAfterMs: RETRY_AFTER_MS },
      })

async function* toItems(items: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const item of items) yield toBytes(item)
}
const toBytes = (value: unknown): Uint8Array => (value instanceof Uint8Array ? value : new Uint8Array(0))

export const startWorkerThread = (mesh: AgentMesh, file: string, limits: WorkerThreadLimits): WorkerThread => {
  const { log, timers } = mesh.port
  const { id, name } = mesh.self
  const beats = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  const beatCount = new Int32Array(beats)
  const facts: WorkerStartData = { file, self: { id, name, mesh: mesh.self.mesh }, beats }
  const ready = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<Error | undefined>()
  const unserves: Unserve[] = []
  let stopping = false
  let isGone = false
  let failure: Error | undefined

  // Its stdout is read here and goes to stderr: what the node prints on stdout is for programs.
  const worker = new Worker(ENTRY, { workerData: facts, stdout: true, name: 'parley-agent' })
  worker.stdout.on('data', (chunk: Uint8Array) => void process.stderr.write(chunk))

  const fail = (error: Error): void => {
    failure ??= error
    ready.reject(error)
    void worker.terminate()
  }

  const ask = (offer: number, method: MethodFacts, ...[payload, context]: Parameters<RunMethod>) => {
    if (stopping) throw lost(file, false)
    const { payload: _, ...envelope } = context.envelope
    const { peer, extendMs } = context
    const now = sharedNow()
    const body: ThreadRunRequest = {
      what: 'run',
      offer,
      method: method.name,
      peer,
      envelope,
      deadlineAt: now + context.remainingMs(),
      extendMs,
      limitAt: now + context.limitMs(),
    }
    const aside = (value: unknown): void => {
      // The worker writes nothing else beside a run.
      const { fraction, note } = value as Progress
      context.progress(fraction, note)
    }
    return { body, options: { bytes: payload, signal: context.signal, lingering: true, aside } }
  }

  const endpointOf = (offer: number, method: MethodFacts): Endpoint => ({
    ...method,
    run:
      method.kind === 'stream'
        ? (payload, context) => {
            const { body, options } = ask(offer, method, payload, context)
            return toItems(channel.stream(body, options))
          }
        : async (payload, context) => {
            const { body, options } = ask(offer, method, payload, context)
            return toBytes(await channel.ask(body, options))
          },
  })

  const serve = async (offers: readonly OfferFacts[]): Promise<void> => {
    for (const [at, { name: protocol, version, methods, record }] of offers.entries()) {
      const endpoints = methods.map((method): [string, Endpoint] => [method.name, endpointOf(at, method)])
      const served: Served = { name: protocol, version, methods: new Map(endpoints) }
      const unserve = await mesh.serveCompiled(served, record)
      unserves.push(unserve)
    }
  }

  const withdraw = async (): Promise<void> => {
    for (const unserve of unserves.splice(0)) {
      await unserve().catch((error: unknown) => log.warn('a protocol of an agent was not withdrawn', { file, error }))
    }
  }

  let serving: Promise<void> = Promise.resolve()
  const channel: ThreadChannel = createThreadChannel({
    post: (message, transfer) => worker.postMessage(message, transfer),
    answer: createNodeRequestHandler(mesh, {
      offered(offers) {
        serving = serve(offers)
        return serving
      },
      started: () => ready.resolve(),
      failed: (told) => fail(fromTransferableError(told)),
    }),
    failed: (error) => log.error('what an agent asked for failed', { file, error }),
    unexpected: 'the node could not carry it out',
    maxOpen: limits.maxRuns,
    maxBytes: limits.maxRunBytes,
    other: `the agent ${file}`,
  })

  const unwatch = mesh.activity.watch({ name: file, inWork: channel.size, beats: () => Atomics.load(beatCount, 0) })
  worker.on('message', (message: ChannelMessage) => channel.receive(message))
  worker.on('messageerror', (error) => fail(error))
  worker.on('error', (error) => {
    failure ??= error instanceof Error ? error : new Error(String(error))
  })
  worker.on('exit', (code) => {
    isGone = true
    unwatch()
    channel.close((sent) => lost(file, sent))
    const end = async (): Promise<void> => {
      await serving.catch(() => {})
      await withdraw()
      const why = stopping ? undefined : (failure ?? new Error(`its thread ended with code ${code}`))
      ready.reject(why ?? lost(file, false))
      ended.resolve(why)
    }
    // A turn later: the answers to those who wait are on their way before their links are closed.
    setImmediate(() => void end())
  })
  // Whoever waits for them hears of it; nobody has to.
  ready.promise.catch(() => {})

  const within = (ms: number, step: Promise<unknown>): Promise<void> =>
    new Promise((resolve) => {
      const stopTimer = timers.after(ms, resolve)
      const done = (): void => {
        stopTimer()
        resolve()
      }
      step.then(done, (error: unknown) => {
        log.warn('an agent did not stop cleanly', { file, error })
        done()
      })
    })

  const stop = async (drainMs: number): Promise<void> => {
    await within(drainMs, channel.idle())
    await withdraw()
    await within(limits.stopMs, channel.ask({ what: 'stop' } satisfies RequestToAgent))
    await worker.terminate()
  }

  return {
    ready: ready.promise,
    ended: ended.promise,
    stop(drainMs) {
      // One that has ended, because it could not be loaded for instance, is not asked to stop.
      if (stopping || isGone) return
      stopping = true
      void stop(drainMs)
    },
  }
}
