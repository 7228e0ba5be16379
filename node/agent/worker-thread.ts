/**
 * An agent's worker thread, on the node's side, from its start to its exit.
 *
 * State: the thread, the channel to it, what is served for it, and whether it still takes requests. Guarantees: when
 * `ended` resolves, the thread is gone, what ran in it has failed with COM002 (`sent: true`), what it had requested of the
 * mesh is cancelled, and its protocols are withdrawn.
 */
import { Worker } from 'node:worker_threads'
import { within } from '../../protocols/async.ts'
import { GivenShare } from '../../protocols/budget/carried/budget-share.ts'
import type { Progress } from '../../protocols/define.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import type { Registration } from '../../protocols/registration.ts'
import type { Endpoint, MethodFacts, RunContext, Served } from '../../protocols/wire/payload/contract.ts'
import type { Mesh } from '../api.ts'
import { internalsOf } from '../lifecycle/mesh-internals.ts'
import { clock } from '../platform/platform.ts'
import type { ChannelMessage } from './channel/channel-message.ts'
import type { ChannelRequestOptions } from './channel/channel-requester.ts'
import { ThreadChannel } from './channel/thread-channel.ts'
import {
  type OfferFacts,
  type RemainderNotice,
  type RequestToAgent,
  sharedNow,
  type ThreadRunRequest,
  type WorkerStartData,
} from './channel/thread-requests.ts'
import { fromTransferableError } from './channel/transferable.ts'
import { createNodeRequestHandler } from './node-request-handler.ts'

export interface WorkerThreadLimits {
  /** Requests that are in the agent at one time; below the node's limits.maxActive, which they share with its own. */
  readonly maxRuns: number
  readonly maxRunBytes: number
  /** Milliseconds that the agent's stop() has. */
  readonly stopMs: number
}

const RETRY_AFTER_MS = 300

/** The build renames what is imported; this is not imported. */
const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)

/** COM002 says to every caller that its request was sent; for what never reached the agent it is COM003. */
const lost = (file: string, sent: boolean): ParleyError =>
  sent
    ? new ParleyError('COM002', `the agent ${file} ended before the request was done`, {
        hint: 'call another peer; its node starts it again unless it was stopped',
        details: { sent },
      })
    : new ParleyError('COM003', `the agent ${file} takes no requests: it is stopping or was not started again yet`, {
        hint: 'call another peer, or try again',
        details: { retryAfterMs: RETRY_AFTER_MS, sent },
      })

const optionsOf = (payload: Uint8Array, context: RunContext, share: GivenShare | undefined): ChannelRequestOptions => ({
  bytes: payload,
  signal: context.signal,
  lingering: true,
  onSent: () => share?.sent(),
  onNotice(value) {
    // The worker writes nothing else beside a run.
    const notice = value as Progress | RemainderNotice
    if ('remaining' in notice) share?.told(notice.remaining)
    else context.progress(notice.fraction, notice.note)
  },
})

/** What failed so: where the agent was not handed it, its budget is there again, and it may be asked for again. */
const failureOf = (error: unknown, share: GivenShare | undefined): unknown => {
  share?.failed(false)
  if (share === undefined || share.mayBeUsed() || !isParleyError(error, 'COM003')) return error
  const { code, message, hint, details } = error
  return new ParleyError(code, message, { ...(hint !== undefined && { hint }), details: { ...details, sent: false } })
}

const toBytes = (value: unknown): Uint8Array => (value instanceof Uint8Array ? value : new Uint8Array(0))

/** Waits for the step, and no longer than `ms`. */
export class WorkerThread {
  readonly #mesh: Mesh
  readonly #file: string
  readonly #limits: WorkerThreadLimits
  readonly #worker: Worker
  readonly #channel: ThreadChannel
  readonly #unwatch: () => void
  readonly #served: Registration[] = []
  /** Requests in the agent, by their number. */
  readonly #runs = new Map<number, RunContext>()
  #lastRun = 0
  readonly #ready = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<Error | undefined>()
  #serving: Promise<void> = Promise.resolve()
  #isStopping = false
  #isGone = false
  #failure: Error | undefined

  /** Starts the thread. */
  constructor(mesh: Mesh, file: string, limits: WorkerThreadLimits) {
    // Throws for what is no mesh: before there is a thread that nobody would end.
    const { activity } = internalsOf(mesh)
    this.#mesh = mesh
    this.#file = file
    this.#limits = limits
    const { id, name } = mesh.self
    const beats = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
    const beatCount = new Int32Array(beats)
    const workerData: WorkerStartData = { file, self: { id, name, mesh: mesh.self.mesh }, beats }
    // Its stdout is read here and goes to stderr: what the node prints on stdout is for programs.
    this.#worker = new Worker(ENTRY, { workerData, stdout: true, name: 'parley-agent' })
    this.#worker.stdout.on('data', (chunk: Uint8Array) => void process.stderr.write(chunk))
    this.#channel = this.#openChannel()
    this.#unwatch = activity.watch({
      name: file,
      inWork: () => this.#channel.size(),
      beats: () => Atomics.load(beatCount, 0),
    })
    this.#worker.on('message', (message: ChannelMessage) => this.#channel.receive(message))
    this.#worker.on('messageerror', (error) => this.#fail(error))
    this.#worker.on('error', (error) => {
      this.#failure ??= error instanceof Error ? error : new Error(String(error))
    })
    this.#worker.on('exit', (code) => this.#onExit(code))
    // Nobody has to wait for it; then its rejection is no unhandled one.
    this.#ready.promise.catch(() => {})
  }

  /** Resolves when the agent has started, rejects when it could not. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Resolves with what ended it; undefined when it was stopped. */
  get ended(): Promise<Error | undefined> {
    return this.#ended.promise
  }

  /** Refuses new requests, lets those in work end, stops the agent, ends the thread. Calling it again is harmless. */
  stop(drainMs: number): void {
    // One that has ended, because it could not be loaded for instance, is not asked to stop.
    if (this.#isStopping || this.#isGone) return
    this.#isStopping = true
    void this.#drain(drainMs)
  }

  #openChannel(): ThreadChannel {
    const { log } = this.#mesh.port
    return new ThreadChannel({
      post: (message, transfer) => this.#worker.postMessage(message, transfer),
      handle: createNodeRequestHandler(this.#mesh, {
        offered: (offers) => {
          this.#serving = this.#serve(offers)
          return this.#serving
        },
        started: () => this.#ready.resolve(),
        failed: (failure) => this.#fail(fromTransferableError(failure)),
        childCallsOf: (run) => this.#runs.get(run)?.childCalls,
      }),
      onUnexpected: (error) => log.error('what an agent asked for failed', { file: this.#file, error }),
      unexpectedText: 'the node could not carry it out',
      maxOpen: this.#limits.maxRuns,
      maxBytes: this.#limits.maxRunBytes,
      otherSide: `the agent ${this.#file}`,
    })
  }

  async #serve(offers: readonly OfferFacts[]): Promise<void> {
    for (const [at, { name: protocol, version, methods, record }] of offers.entries()) {
      const endpoints = methods.map((method): [string, Endpoint] => [method.name, this.#endpointOf(at, method)])
      const served: Served = { name: protocol, version, methods: new Map(endpoints) }
      this.#served.push(await internalsOf(this.#mesh).serveCompiled(served, record))
    }
  }

  #endpointOf(offer: number, method: MethodFacts): Endpoint {
    if (method.kind === 'stream')
      return {
        ...method,
        run: (payload, context) => {
          const { request, options, share } = this.#run(offer, method, payload, context)
          return this.#items(request.run, context, this.#channel.stream(request, options), share)
        },
      }
    return {
      ...method,
      run: async (payload, context) => {
        const { request, options, share } = this.#run(offer, method, payload, context)
        this.#runs.set(request.run, context)
        try {
          return toBytes(await this.#channel.request(request, options))
        } catch (error) {
          throw failureOf(error, share)
        } finally {
          this.#runs.delete(request.run)
        }
      },
    }
  }

  /** Counted from the first that is asked for: a generator that is given up before never runs, nor ends. */
  async *#items(
    run: number,
    context: RunContext,
    items: AsyncIterable<unknown>,
    share: GivenShare | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    this.#runs.set(run, context)
    try {
      for await (const item of items) yield toBytes(item)
    } catch (error) {
      throw failureOf(error, share)
    } finally {
      this.#runs.delete(run)
    }
  }

  /** All of its budget is the agent's, which says at its end what is left of it. */
  #run(offer: number, method: MethodFacts, payload: Uint8Array, context: RunContext) {
    const { budget } = context
    const share = budget && new GivenShare(budget, clock)
    return {
      request: this.#requestOf(offer, method, context, share),
      options: optionsOf(payload, context, share),
      share,
    }
  }

  #requestOf(offer: number, method: MethodFacts, context: RunContext, share: GivenShare | undefined): ThreadRunRequest {
    if (this.#isStopping) throw lost(this.#file, false)
    const { payload: _, ...envelope } = context.envelope
    const { peer, extendMs } = context
    const now = sharedNow()
    this.#lastRun += 1
    return {
      what: 'run',
      run: this.#lastRun,
      offer,
      method: method.name,
      peer,
      envelope,
      deadlineAt: now + context.remainingMs(),
      extendMs,
      limitAt: now + context.limitMs(),
      budget: share?.begin(),
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#ready.reject(error)
    void this.#worker.terminate()
  }

  async #drain(drainMs: number): Promise<void> {
    const { timers, log } = this.#mesh.port
    const onError = (error: unknown): void => log.warn('an agent did not stop cleanly', { file: this.#file, error })
    await within(timers, drainMs, this.#channel.idle())
    await this.#withdraw()
    const stopped = this.#channel.request({ what: 'stop' } satisfies RequestToAgent)
    await within(timers, this.#limits.stopMs, stopped.catch(onError))
    await this.#worker.terminate()
  }

  async #withdraw(): Promise<void> {
    const { log } = this.#mesh.port
    for (const served of this.#served.splice(0)) {
      await served
        .stop()
        .catch((error: unknown) => log.warn('a protocol of an agent was not withdrawn', { file: this.#file, error }))
    }
  }

  #onExit(code: number): void {
    this.#isGone = true
    this.#unwatch()
    this.#channel.close((sent) => lost(this.#file, sent))
    // A turn later: the answers to those who wait are on their way before their links are closed.
    setImmediate(() => void this.#end(code))
  }

  async #end(code: number): Promise<void> {
    await this.#serving.catch(() => {})
    await this.#withdraw()
    const why = this.#isStopping ? undefined : (this.#failure ?? new Error(`its thread ended with code ${code}`))
    this.#ready.reject(why ?? lost(this.#file, false))
    this.#ended.resolve(why)
  }
}
