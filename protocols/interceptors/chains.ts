/**
 * The interceptors of a node, put in order and composed before it listens: one chain for each kind of traffic.
 *
 * A kind that no interceptor stands in has no chain: what would ask it goes its way as if there were no interceptors. Those
 * of a part that is set up later would miss what came before, so they are refused (`tooLate`).
 */
import { ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import { nearestName } from '../unknown-keys.ts'
import { ChainRun, type ChainRunDeps, type InterceptorOutcome, type RunLimit } from './chain-run.ts'
import { coreItems, layerItems, outerItems } from './guarded-items.ts'
import {
  type CallInput,
  defineInterceptor,
  type HearInput,
  type InterceptedKind,
  type Interceptor,
  itemsOf,
  MAX_INTERCEPTORS,
  type PassedOn,
  type PublishInput,
  type ReceiveInput,
  type SendInput,
  type ServeInput,
} from './interceptor.ts'

/** The interceptors of one kind of traffic. Each call, message or event is a run (chain-run.ts). */
export class Chain<I extends object, R> {
  readonly #deps: ChainRunDeps

  constructor(deps: ChainRunDeps) {
    this.#deps = deps
  }

  /** As they stand, the outermost one first. */
  names(): readonly string[] {
    return this.#deps.list.map(({ name }) => name)
  }

  /** @param core what they stand around; it runs at most once, and in this turn where no hook waits before it passes on */
  async run(input: I, core: (input: I) => R | PromiseLike<R>, limit: RunLimit = {}): Promise<R> {
    const run = new ChainRun<I, R>(this.#deps, core, limit)
    try {
      return await run.start(input)
    } finally {
      run.close()
    }
  }

  /**
   * The same around a stream, which begins when it is read.
   * @param check what becomes of each item that leaves; it throws for one that may not
   */
  async *stream(
    input: I,
    core: (input: I) => AsyncIterable<unknown>,
    check: (item: unknown) => unknown,
    limit: RunLimit = {},
  ): AsyncGenerator<unknown, void, undefined> {
    const run: ChainRun<I, unknown> = new ChainRun<I, unknown>(
      this.#deps,
      (changed) => coreItems(run, core(changed)),
      limit,
      (index, answer, passed) => layerItems(run, index, answer, passed),
    )
    try {
      yield* outerItems(run, itemsOf(await run.start(input)), check)
    } finally {
      run.close()
    }
  }
}

export type CallChain = Chain<CallInput, unknown>
export type ServeChain = Chain<ServeInput, unknown>
export type SendChain = Chain<SendInput, PassedOn>
export type ReceiveChain = Chain<ReceiveInput, PassedOn>
export type PublishChain = Chain<PublishInput, PassedOn>
export type HearChain = Chain<HearInput, PassedOn>

/** Undefined for a kind that nobody stands in. */
export interface Chains {
  readonly call: CallChain | undefined
  readonly serve: ServeChain | undefined
  readonly send: SendChain | undefined
  readonly receive: ReceiveChain | undefined
  readonly publish: PublishChain | undefined
  readonly hear: HearChain | undefined
}

export type MessageChains = Pick<Chains, 'send' | 'receive'>
export type EventChains = Pick<Chains, 'publish' | 'hear'>

export const NO_CHAINS: Chains = {
  call: undefined,
  serve: undefined,
  send: undefined,
  receive: undefined,
  publish: undefined,
  hear: undefined,
}

const CHANGEABLE: Record<InterceptedKind, readonly string[]> = {
  call: ['request', 'headers'],
  serve: ['request'],
  send: ['data', 'headers'],
  receive: ['data'],
  publish: ['data', 'headers'],
  hear: ['data'],
}

const ANSWERED: ReadonlySet<InterceptedKind> = new Set(['call', 'serve'])

const unusable = (message: string, hint: string): ParleyError => new ParleyError('MSG001', message, { hint })

const checkNames = (list: readonly Interceptor[]): void => {
  const names = list.map(({ name }) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined)
    throw unusable(`there are two interceptors with the name ${twice}`, 'give each one a name of its own')
  for (const { name, before = [], after = [] } of list)
    for (const other of [...before, ...after])
      if (!names.includes(other) || other === name) {
        const meant = nearestName(other, names)
        throw unusable(
          `the interceptor ${name} is to stand before or after ${JSON.stringify(other.slice(0, 64))}, which is no other one of this node`,
          meant === undefined ? 'add that one, or leave the name out' : `did you mean ${meant}?`,
        )
      }
}

/**
 * Each one as it is listed; whoever is to stand in front of it and does not yet is moved there.
 * @throws MSG001 for more than MAX_INTERCEPTORS, two of one name, an unknown name, and places that cannot all be had
 */
export const orderInterceptors = (list: readonly Interceptor[]): readonly Interceptor[] => {
  if (list.length > MAX_INTERCEPTORS)
    throw unusable(
      `this node has ${list.length} interceptors, at most ${MAX_INTERCEPTORS}`,
      'let one interceptor do several things',
    )
  checkNames(list)
  const ordered: Interceptor[] = []
  const path: Interceptor[] = []
  const place = (one: Interceptor): void => {
    if (ordered.includes(one)) return
    if (path.includes(one))
      throw unusable(
        `the interceptors ${[...path.slice(path.indexOf(one)), one].map(({ name }) => name).join(', ')} are to stand in front of each other`,
        'remove one of their before and after',
      )
    path.push(one)
    for (const other of list)
      if (one.after?.includes(other.name) === true || other.before?.includes(one.name) === true) place(other)
    path.pop()
    ordered.push(one)
  }
  for (const one of list) place(one)
  return ordered
}

/**
 * @param list those of the options, then those of parts
 * @throws MSG001 where they cannot be put in order
 */
export const createChains = (
  port: Pick<Port, 'clock' | 'timers' | 'log' | 'metrics'>,
  list: Iterable<Interceptor>,
): Chains => {
  const ordered = orderInterceptors([...list].map((one) => defineInterceptor(one)))
  // Bounded by the number of interceptors.
  const counted =
    ordered.length === 0
      ? () => {}
      : port.metrics.counter(
          'interceptor_errors_total',
          'Calls, messages and events that an interceptor refused, failed at, or had for too long',
          ['interceptor', 'kind', 'outcome'],
        )

  const chain = <I extends object, R>(kind: InterceptedKind): Chain<I, R> | undefined => {
    const standing = ordered.filter((one) => one[kind] !== undefined)
    if (standing.length === 0) return undefined
    return new Chain<I, R>({
      kind,
      list: standing,
      changeable: new Set(CHANGEABLE[kind]),
      mustPass: !ANSWERED.has(kind),
      clock: port.clock,
      timers: port.timers,
      count: (interceptor: string, outcome: InterceptorOutcome) => counted({ interceptor, kind, outcome }),
      failed: (interceptor, error) => port.log.error('an interceptor failed', { interceptor, kind, error }),
    })
  }

  return {
    call: chain('call'),
    serve: chain('serve'),
    send: chain('send'),
    receive: chain('receive'),
    publish: chain('publish'),
    hear: chain('hear'),
  }
}

/** For a part that is set up when the node listens already. */
export const tooLate = (): ParleyError =>
  new ParleyError('STA003', 'interceptors cannot be added to a node that runs', {
    hint: "give the part activate: 'start', or the interceptors to createMesh({ interceptors })",
    details: { reason: 'closed' },
  })
