/**
 * The life of one part: idle, starting, running; failed until it is tried again; stopped for good.
 *
 * What its `start` began is taken back where it fails, and after `stop`: handlers that it served, extensions, `defer`.
 * Inbound calls of its protocols wait until it runs, within their own time.
 * State: that, its implementation once loaded, its options.
 */
import { within } from '../../protocols/async.ts'
import { type AnyProtocol, type Handlers, kindOf, wireId } from '../../protocols/define.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import {
  type AnyPart,
  type Implementation,
  type PartContext,
  type SetupContext,
  type Started,
  undoAll,
} from '../../protocols/part.ts'
import type { Port } from '../../protocols/port.ts'

/** A part that failed is tried again by its next use, but not before. */
export const RETRY_MS = 5_000
/** Parts of others get this long to start: one that hangs must not keep a node from starting. */
export const START_LIMIT_MS = 60_000

export type PartState = 'idle' | 'starting' | 'running' | 'failed' | 'stopped'
type Undo = () => void | Promise<void>
type Method = (input: unknown, context: unknown) => unknown

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export class PartLife {
  readonly part: AnyPart
  readonly #port: Port
  #options: unknown
  #state: PartState = 'idle'
  #problem: string | undefined
  #failedAt = Number.NEGATIVE_INFINITY
  #implementation: Promise<Implementation> | undefined
  #isSetUp = false
  #starting: Promise<Started<unknown>> | undefined
  #started: Started<unknown> | undefined
  readonly #handlers = new Map<string, Record<string, Method>>()
  #undo: Undo[] = []

  constructor(part: AnyPart, port: Port, options: unknown) {
    this.part = part
    this.#port = port
    this.#options = options
  }

  get state(): PartState {
    return this.#state
  }
  /** Why it does not run, for a person. */
  get problem(): string | undefined {
    return this.#problem
  }
  /** While it runs. */
  get started(): Started<unknown> | undefined {
    return this.#state === 'running' ? this.#started : undefined
  }
  get options(): unknown {
    return this.#options
  }

  /** Loads it and runs its `setup`, once. @param extend as of SetupContext; what it returns is undone with the part */
  async setUp(extend: (point: string, fn: unknown) => Undo): Promise<void> {
    const { setup } = await this.#load()
    if (this.#isSetUp) return
    this.#isSetUp = true
    const { self, clock, timers, random, hash, log } = this.#port
    const context: SetupContext = {
      ...{ self, clock, timers, random, hash, log },
      extend: (point, fn) => void this.#undo.push(extend(point.extends, fn)),
    }
    setup?.(context, this.#options)
  }

  /**
   * Starts it, or waits for the start that is under way.
   * @param needs what its definition names, which runs by now
   */
  start(needs: Record<string, unknown>): Promise<Started<unknown>> {
    this.#starting ??= this.#begin(needs)
    return this.#starting
  }

  /** @throws STA003 where it may not be started now */
  check(): void {
    if (this.#state === 'stopped')
      throw new ParleyError('COM002', 'this node is stopping', {
        hint: 'ask another node',
        details: { sent: false, reason: 'stopping' },
      })
    if (this.#state === 'failed' && this.#port.clock.monotonic() - this.#failedAt < RETRY_MS) throw this.failure()
  }

  /** It failed, and whatever needs it cannot start either. */
  fail(error: unknown): void {
    const { name, activate, essential } = this.part
    this.#state = 'failed'
    this.#starting = undefined
    this.#failedAt = this.#port.clock.monotonic()
    this.#problem = textOf(error)
    // Whoever starts the node is told of the others.
    if (activate !== 'start' || essential === false)
      this.#port.log.error('a part failed; the node goes on without it', { part: name, error })
  }
  /** For whoever wanted to use it; another node is told no more than that. */
  failure(): ParleyError {
    return new ParleyError('STA003', `the part ${this.part.name} of this node does not run`, {
      hint: 'its node says why in its log and on its debug endpoint; it is tried again after a while',
      details: { reason: 'part-failed', part: this.part.name },
    })
  }

  /** What the node serves for it: calls wake it. */
  answering(protocol: AnyProtocol, wake: () => Promise<unknown>): Handlers<AnyProtocol> {
    const id = wireId(protocol)
    const known = (name: string): Method | undefined => this.#handlers.get(id)?.[name]
    const woken = async (name: string): Promise<Method> => {
      await wake().catch(() => {})
      const method = known(name)
      if (method === undefined) throw this.failure()
      return method
    }
    const methods = Object.entries(protocol.methods).map(([name, method]): [string, Method] => {
      async function* stream(input: unknown, context: unknown): AsyncGenerator<unknown> {
        yield* (await woken(name))(input, context) as AsyncIterable<unknown>
      }
      const once: Method = (input, context) => woken(name).then((handler) => handler(input, context))
      const first = kindOf(method) === 'stream' ? stream : once
      return [name, (input, context) => (known(name) ?? first)(input, context)]
    })
    // One handler per method of the contract, by construction.
    return Object.fromEntries(methods) as unknown as Handlers<AnyProtocol>
  }

  reload(next: unknown): 'applied' | 'needs-restart' {
    const taken = this.started === undefined ? 'applied' : (this.started.reload?.(next as never) ?? 'needs-restart')
    if (taken === 'applied') this.#options = next
    return taken
  }

  async drain(leftMs: number): Promise<void> {
    await this.started?.drain?.(leftMs)
  }

  async stop(): Promise<void> {
    const { part } = this
    const wasStarting = this.#starting
    this.#starting = undefined
    this.#state = 'stopped'
    const started = this.#started ?? (await wasStarting?.catch(() => undefined))
    const failed = (error: unknown): void =>
      this.#port.log.warn(`the part ${part.name} did not stop cleanly`, { part: part.name, error })
    this.#started = undefined
    this.#handlers.clear()
    const steps = this.#undo
    this.#undo = []
    await undoAll([...steps, async () => started?.stop?.()], failed)
  }

  #load(): Promise<Implementation> {
    this.#implementation ??= this.part
      .load()
      .then(({ default: implementation }) => {
        if (typeof implementation?.start === 'function') return implementation
        throw new ParleyError('MSG001', `what the part ${this.part.name} loads is not its implementation`, {
          hint: 'its module exports as default what implementPart<typeof part>({ ... }) returns',
        })
      })
      .catch((error: unknown) => {
        // Another use tries again.
        this.#implementation = undefined
        throw error
      })
    return this.#implementation
  }

  async #begin(needs: Record<string, unknown>): Promise<Started<unknown>> {
    const before = this.#undo.length
    this.#state = 'starting'
    try {
      const implementation = await this.#load()
      const started = await this.#limited(async () => implementation.start(this.#context(needs), this.#options))
      if (this.isStopped()) return started
      this.#take(started)
      this.#started = started
      this.#state = 'running'
      this.#problem = undefined
      return started
    } catch (error) {
      const steps = this.#undo.splice(before)
      await undoAll(steps, (why) =>
        this.#port.log.warn('what a part began could not be taken back', { part: this.part.name, error: why }),
      )
      if (!this.isStopped()) this.fail(error)
      throw error
    }
  }

  /** It may have been stopped while it was waited for. */
  isStopped(): boolean {
    return this.#state === 'stopped'
  }

  #context(needs: Record<string, unknown>): PartContext {
    const port = this.#port
    return {
      ...port,
      defer: (undo) => void this.#undo.push(undo),
      serve: async (protocol, handlers) => {
        const unserve = await port.serve(protocol, handlers)
        this.#undo.push(unserve)
        return unserve
      },
      ...needs,
    }
  }

  /** @throws MSG001 where a protocol of the part has no handlers */
  #take({ handlers = [] }: Started<unknown>): void {
    for (const { protocol, handlers: given } of handlers) this.#handlers.set(wireId(protocol), { ...given } as never)
    for (const protocol of this.part.protocols ?? []) {
      const given = this.#handlers.get(wireId(protocol))
      const missing = Object.keys(protocol.methods).find((name) => typeof given?.[name] !== 'function')
      if (missing !== undefined)
        throw new ParleyError('MSG001', `the part ${this.part.name} does not answer ${protocol.name}.${missing}`, {
          hint: 'return handlers: [answers(protocol, { ... })] from its start',
        })
    }
  }

  async #limited(start: () => Promise<Started<unknown>>): Promise<Started<unknown>> {
    if (!this.part.name.includes('/')) return start()
    const starting = start()
    if (await within(this.#port.timers, START_LIMIT_MS, starting)) return starting
    // One that comes too late is not wanted any more.
    starting.then((late) => late.stop?.()).catch(() => {})
    throw new ParleyError('COM001', `the part ${this.part.name} did not start within ${START_LIMIT_MS} ms`, {
      hint: 'let its start return, and do what takes long afterwards',
    })
  }
}

/** Errors of the mesh pass as they are; of all else the part is named. */
export const startError = (part: AnyPart, error: unknown): ParleyError =>
  isParleyError(error)
    ? error
    : new ParleyError('STA003', `the part ${part.name} did not start: ${textOf(error)}`, {
        hint: 'see the cause; a part that the node can do without says essential: false',
        details: { reason: 'part-failed', part: part.name },
        cause: error,
      })
