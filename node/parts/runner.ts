/**
 * Starts and stops the parts of a node: each one after what it needs, and backwards. The same under the simulator.
 *
 * In order: `prepare` loads those that start with the node, runs their `setup`, and serves the protocols of all, before the
 * network listens and a log is replayed; `start` starts them. Any other part starts by a first call of its protocols, or
 * when it is used. Where one fails that the node needs, those that were started are stopped again; where the node can do
 * without, it is not ready.
 * State: the lives of the parts, the order in which they started, and what they added to extension points.
 */
import type { AnyProtocol, Handlers } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Quota } from '../../protocols/limits/quota.ts'
import {
  type AnyPart,
  type ApiOf,
  type ExtensionPoint,
  type PartJournal,
  type PartReadiness,
  type Started,
  type Token,
  type Tokens,
  undoAll,
} from '../../protocols/part.ts'
import type { Port } from '../../protocols/port.ts'
import { PartLife, type PartState, startError } from './life.ts'
import { namesOf, orderParts } from './order.ts'

export interface RunnerDeps {
  readonly parts: readonly AnyPart[]
  /** What the node has, or will have by then, that is no part. */
  readonly provides: readonly Token<unknown>[]
  port(part: AnyPart): Port
  /** Its section of the configuration, as it was given. */
  section?(part: AnyPart): unknown
  /** Answers a protocol of the part from now on. Not under a Port that serves it by itself. */
  answer?(part: AnyPart, protocol: AnyProtocol, handlers: Handlers<AnyProtocol>): Promise<() => Promise<void>>
  readonly quota?: Pick<Quota, 'add'> | undefined
}

export interface PartFacts {
  readonly part: AnyPart
  readonly state: PartState
  readonly problem: string | undefined
  readonly started: Started<unknown> | undefined
}

/** @throws MSG001 with each problem in its message */
export const optionsOf = (part: AnyPart, given: unknown): unknown => {
  if (part.options === undefined) {
    if (given === undefined) return undefined
    throw new ParleyError('MSG001', `the part ${part.name} takes no options`, { hint: 'leave them out' })
  }
  const parsed = part.options.safeParse(given ?? {})
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.slice(0, 16).map(({ path, message }) => ({ path: path.join('.'), message }))
  throw new ParleyError(
    'MSG001',
    `the options of the part ${part.name} cannot be used: ${issues.map(({ path, message }) => `${path}: ${message}`).join('; ')}`,
    { hint: 'change or leave out the options that are named', details: { issues } },
  )
}

/** Of the part itself, or of what it provides under that name. */
const apiOf = ({ provides = {} }: AnyPart, { api }: Started<unknown>, { name }: Token<unknown>): unknown => {
  const key = Object.keys(provides).find((one) => provides[one]?.name === name)
  return key === undefined ? api : Reflect.get(Object(api), key)
}

export class PartRunner {
  readonly #deps: RunnerDeps
  readonly #order: readonly PartLife[]
  readonly #byName: ReadonlyMap<string, PartLife>
  readonly #provided = new Map<string, unknown>()
  readonly #extensions = new Map<string, Set<unknown>>()
  readonly #sealed = new Map<string, () => Error>()
  /** Of what this node serves and counts for them. */
  readonly #undo: (() => void | Promise<void>)[] = []
  /** As they started. */
  readonly #running: PartLife[] = []
  readonly #startBegan = Promise.withResolvers<void>()
  #isStopping = false

  /** @throws MSG001 for parts or options that cannot be used */
  constructor(deps: RunnerDeps) {
    this.#deps = deps
    const ordered = orderParts(deps.parts, new Set(deps.provides.map(({ name }) => name)))
    this.#order = ordered.map((part) => new PartLife(part, deps.port(part), optionsOf(part, deps.section?.(part))))
    this.#byName = new Map(this.#order.flatMap((life) => namesOf(life.part).map((name) => [name, life])))
  }

  /** What the node has by now. */
  provide<Api>(token: Token<Api>, api: Api): void {
    this.#provided.set(token.name, api)
  }

  /** What was added there, as of now. */
  extensions<Fn>(point: ExtensionPoint<Fn>): Iterable<Fn> {
    // Only `extend` writes, which takes a function of the point's type.
    return (this.#extensions.get(point.extends) ?? []) as Iterable<Fn>
  }

  /**
   * What was added there, which is all: whoever asked builds on it.
   * @param tooLate what adding more throws
   */
  seal<Fn>(point: ExtensionPoint<Fn>, tooLate: () => Error): Iterable<Fn> {
    this.#sealed.set(point.extends, tooLate)
    return this.extensions(point)
  }

  /** What the parts decide with others; those of them that are not used as well. */
  journals(): readonly (PartJournal & { readonly name: string })[] {
    return this.#order.flatMap(({ part: { name, journal } }) => (journal === undefined ? [] : [{ ...journal, name }]))
  }

  /** Before the network listens. */
  async prepare(): Promise<void> {
    const first = this.#order.filter(({ part }) => part.activate === 'start')
    await this.#orUndo(async () => {
      for (const life of first) await this.#attempt(life, () => life.setUp((point, fn) => this.#extend(point, fn)))
      for (const life of this.#order)
        for (const protocol of life.part.protocols ?? []) {
          // What it needs is not there before: a call that comes earlier waits.
          const handlers = life.answering(protocol, () => this.#startBegan.promise.then(() => this.#wake(life)))
          const unserve = await (this.#deps.answer?.(life.part, protocol, handlers) ??
            this.#deps.port(life.part).serve(protocol, handlers))
          this.#undo.push(unserve)
        }
    })
  }

  /** Those that start with the node. @throws what an essential one threw; what was started is stopped then */
  async start(): Promise<void> {
    this.#startBegan.resolve()
    await this.#orUndo(async () => {
      for (const life of this.#order)
        if (life.part.activate === 'start' && life.state !== 'failed') await this.#attempt(life, () => this.#wake(life))
    })
  }

  /** Starts it where it does not run. @throws STA003 `part-failed`; COM002 while the node stops; MSG001 for an unknown one */
  async use<Api>(token: Token<Api>): Promise<Api> {
    const life = this.#byName.get(token.name)
    if (life === undefined)
      throw new ParleyError('MSG001', `this node has no part ${token.name}`, {
        hint: 'give it to createMesh({ parts: [...] })',
      })
    // A definition is the token of its implementation's type: `implementPart` checks that.
    return apiOf(life.part, await this.#wake(life), token) as Api
  }

  /** While it runs, or where the node provides it. */
  get<T extends Token<unknown>>(token: T): ApiOf<T> | undefined {
    const life = this.#byName.get(token.name)
    const started = life?.started
    if (life === undefined || started === undefined) return this.#provided.get(token.name) as ApiOf<T> | undefined
    return apiOf(life.part, started, token) as ApiOf<T>
  }

  facts(): PartFacts[] {
    return this.#order.map(({ part, state, problem, started }) => ({ part, state, problem, started }))
  }

  readiness(): Required<PartReadiness> {
    const [reasons, degraded]: [string[], string[]] = [[], []]
    for (const { part, state, problem, started } of this.#order) {
      if (state === 'failed') reasons.push(`the part ${part.name} failed: ${problem}`)
      const told = started?.readiness?.()
      reasons.push(...(told?.reasons ?? []))
      degraded.push(...(told?.degraded ?? []))
    }
    return { reasons, degraded }
  }

  /** What a reload would change. @throws MSG001 for an unknown part, or options that cannot be used */
  check(sections: Readonly<Record<string, unknown>>): { readonly life: PartLife; readonly next: unknown }[] {
    return Object.entries(sections).map(([name, given]) => {
      const life = this.#byName.get(name)
      if (life !== undefined) return { life, next: optionsOf(life.part, given) }
      throw new ParleyError('MSG001', `this node has no part ${name}`, { hint: 'parts are given when a node starts' })
    })
  }

  /** @throws as `check`: nothing is changed then */
  reload(sections: Readonly<Record<string, unknown>>): { applied: string[]; needsRestart: string[] } {
    const changes = this.check(sections)
    const [applied, needsRestart]: [string[], string[]] = [[], []]
    for (const { life, next } of changes)
      (life.reload(next) === 'applied' ? applied : needsRestart).push(life.part.name)
    return { applied, needsRestart }
  }

  /** Last started, first drained. */
  async drain(leftMs: number): Promise<void> {
    for (const life of this.#running.toReversed()) await life.drain(leftMs)
  }

  /** What stopping takes, one step after the other: from the first one on no part starts any more. */
  stopSteps(): { readonly what: string; run(): Promise<void> }[] {
    const close = async (): Promise<void> => {
      this.#isStopping = true
      this.#startBegan.resolve()
      await undoAll(this.#undo.splice(0), () => {})
    }
    const idle = this.#order.filter((life) => !this.#running.includes(life))
    const lives = [...idle, ...this.#running].toReversed()
    return [
      { what: 'handlers of parts', run: close },
      ...lives.map((life) => ({ what: `the part ${life.part.name}`, run: () => life.stop() })),
    ]
  }

  async stop(): Promise<void> {
    for (const { run } of this.stopSteps()) await run()
  }

  #extend(point: string, fn: unknown): () => void {
    const tooLate = this.#sealed.get(point)
    if (tooLate !== undefined) throw tooLate()
    const fns = this.#extensions.get(point) ?? new Set()
    this.#extensions.set(point, fns)
    fns.add(fn)
    return () => void fns.delete(fn)
  }

  /** @returns once it runs, and all that it needs */
  async #wake(life: PartLife): Promise<Started<unknown>> {
    if (life.started !== undefined) return life.started
    if (this.#isStopping) await life.stop()
    life.check()
    const needs = await this.#needsOf(life)
    await life.setUp((point, fn) => this.#extend(point, fn))
    const wasRunning = this.#running.includes(life)
    const started = await life.start(needs)
    if (wasRunning || this.#running.includes(life) || life.isStopped()) return started
    this.#running.push(life)
    const { disk } = started
    const { quota } = this.#deps
    if (disk !== undefined && quota !== undefined) this.#undo.push(quota.add(life.part.name, disk))
    return started
  }

  async #needsOf({ part }: PartLife): Promise<Record<string, unknown>> {
    const found: Record<string, unknown> = {}
    const all = (tokens: Tokens = {}) => Object.entries(tokens)
    for (const [key, token] of all(part.needs)) found[key] = await this.#find(token)
    // Without it the part goes on.
    for (const [key, token] of all(part.optional)) found[key] = await this.#find(token).catch(() => undefined)
    return found
  }

  async #find(token: Token<unknown>): Promise<unknown> {
    const life = this.#byName.get(token.name)
    return life === undefined ? this.#provided.get(token.name) : apiOf(life.part, await this.#wake(life), token)
  }

  async #attempt(life: PartLife, run: () => Promise<unknown>): Promise<void> {
    try {
      await run()
    } catch (error) {
      if (life.part.essential !== false) throw startError(life.part, error)
      if (life.state !== 'failed') life.fail(error)
    }
  }

  async #orUndo(run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      await this.stop()
      throw error
    }
  }
}
