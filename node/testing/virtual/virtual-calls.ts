/**
 * Calls among the nodes of a port network: unary, streaming and one-way, with schemas checked on both sides, payloads
 * written and read as on the wire, deadlines, cancellation and remote errors. No flow control and no retries.
 *
 * State: what each node serves, and the exchanges that are open.
 */
import type { Amounts } from '../../../protocols/budget/amounts.ts'
import type { AttemptObserver } from '../../../protocols/budget/carried/budget-share.ts'
import { type CarriedBudget, sliceOf } from '../../../protocols/budget/carried/carried-budget.ts'
import type { Slice } from '../../../protocols/budget/slice.ts'
import {
  type AnyProtocol,
  type CallOptions,
  type Client,
  type Context,
  type Handlers,
  kindOf,
  type MethodKind,
  wireId,
} from '../../../protocols/define.ts'
import { fromFault, ParleyError, toFault } from '../../../protocols/errors.ts'
import type { Stop } from '../../../protocols/port.ts'
import { chainThrough, type DelegationChain, hopOf, requireChain } from '../../../protocols/wire/delegation-chain.ts'
import { toProgress } from '../../../protocols/wire/link/progress-reports.ts'
import { ClientCache } from './client-cache.ts'
import type { Travel } from './virtual-connections.ts'
import { Cancel, createItems, parse, read, replySchema, type VirtualExchange, write } from './virtual-exchange.ts'
import { START_MS, type VirtualTime } from './virtual-time.ts'

export interface CallNode {
  readonly id: string
  readonly isConnected: (peer: string) => boolean
  /** Runs `fn` at the other node after the link's latency, if the link still stands then. */
  readonly send: (to: string, bytes: Uint8Array, fn: () => void, travel?: Travel) => void
}

type ErasedHandler = (input: unknown, context: Context) => unknown
interface Serving {
  protocol: AnyProtocol
  /** They get what the contract's schemas have read. */
  handlers: Record<string, ErasedHandler>
}

interface Called {
  readonly chain: DelegationChain | undefined
  readonly budget: Slice | undefined
  /** Wire id. */
  protocol: string
  method: string
  deadlineMs: number
  readonly timeoutMs: number
  readonly limitMs: number
}

/** Also of calls that got their chain from a parent already, and a part of a budget. */
type VirtualCallOptions = CallOptions & {
  readonly chain?: DelegationChain
  readonly carried?: CarriedBudget
  readonly onRemainder?: (remaining: Amounts) => void
  readonly attemptObserver?: Pick<AttemptObserver, 'sent'>
}

const labelOf = ({ name }: AnyProtocol, { method }: Called): string => `${name}.${method}`

const notServed = ({ protocol, method }: Called): ParleyError =>
  new ParleyError('MSG004', `${protocol} ${method} is not served here`, { hint: 'ask another peer' })
const notConnected = (id: string, peer: string): ParleyError =>
  new ParleyError('COM002', `${peer} is not connected to ${id}`, { hint: 'connect first', details: { sent: false } })

type Call = readonly [CallNode, peer: string, AnyProtocol, name: string, input: unknown, options: VirtualCallOptions]

export class VirtualCalls {
  readonly #time: VirtualTime
  readonly #nodes = new Map<string, CallNode>()
  readonly #served = new Map<string, Map<string, Serving>>()
  readonly #open = new Set<VirtualExchange>()
  readonly #clients = new WeakMap<CallNode, ClientCache>()
  readonly counted = { unary: 0, stream: 0, 'one-way': 0 }

  constructor(time: VirtualTime) {
    this.#time = time
  }

  join(node: CallNode): void {
    this.#nodes.set(node.id, node)
  }

  /** Its process is gone: nobody is told what becomes of its calls to itself. */
  leave(id: string): void {
    this.#nodes.delete(id)
    this.#served.delete(id)
    for (const exchange of this.#open) if (exchange.from === id) exchange.forget()
  }

  serve<P extends AnyProtocol>(node: CallNode, protocol: P, handlers: Handlers<P>): () => Promise<void> {
    const own = this.#served.get(node.id) ?? new Map<string, Serving>()
    own.set(wireId(protocol), { protocol, handlers: handlers as Serving['handlers'] })
    this.#served.set(node.id, own)
    return async () => {
      own.delete(wireId(protocol))
    }
  }

  to<P extends AnyProtocol>(node: CallNode, peer: string, protocol: P, defaults: CallOptions = {}): Client<P> {
    const clients = this.#clients.get(node) ?? new ClientCache()
    this.#clients.set(node, clients)
    return clients.get(peer, protocol, defaults, () => this.#client(node, peer, protocol, defaults))
  }

  #client<P extends AnyProtocol>(node: CallNode, peer: string, protocol: P, defaults: CallOptions): Client<P> {
    const method = (name: string, kind: MethodKind) => (input: unknown, options?: VirtualCallOptions) => {
      const call: Call = [node, peer, protocol, name, input, { ...defaults, ...options }]
      return kind === 'stream' ? this.#stream(...call) : kind === 'unary' ? this.#unary(...call) : this.#oneWay(call)
    }
    const methods = Object.entries(protocol.methods).map(([name, declared]) => [name, method(name, kindOf(declared))])
    // One function per method of the contract, by construction.
    return Object.fromEntries(methods) as Client<P>
  }

  /** The connection between two nodes is gone: what is open on it fails on both sides. */
  cut(a: string, b: string): void {
    for (const exchange of this.#open) {
      if (!(exchange.from === a && exchange.to === b) && !(exchange.from === b && exchange.to === a)) continue
      const error = new ParleyError('COM002', `the connection between ${a} and ${b} was closed`)
      exchange.end(error)
      exchange.cancel.abort(error)
    }
  }

  /** The server's side: reads, checks, runs the handler and sends what it gives back. */
  async #answer(node: CallNode, exchange: VirtualExchange, called: Called, payload: Uint8Array): Promise<void> {
    const open = this.#open
    const reply = (bytes: Uint8Array, fn: () => void): void => {
      if (open.has(exchange)) node.send(exchange.from, bytes, () => open.has(exchange) && fn())
    }
    const tellRemainder = (): void => {
      const left = called.budget?.close()
      if (left !== undefined) reply(new Uint8Array(), () => exchange.remainder(left))
    }
    try {
      const serving = this.#served.get(node.id)?.get(called.protocol)
      const method = serving?.protocol.methods[called.method]
      const handler = serving?.handlers[called.method]
      if (serving === undefined || method === undefined || handler === undefined) throw notServed(called)
      const { chain } = called
      if (chain !== undefined) requireChain(chain, exchange.from, node.id, labelOf(serving.protocol, called))
      const schema = replySchema(method)
      const send = (value: unknown): void => {
        if (schema === undefined) return
        const bytes = write(method.content, parse(schema, value, called.method))
        reply(bytes, () => exchange.item(read(method.content, bytes)))
      }
      const input = parse(method.request, read(method.content, payload), called.method)
      const result = handler(input, this.#contextOf(node, exchange, called, labelOf(serving.protocol, called)))
      if (kindOf(method) === 'stream') {
        for await (const item of result as AsyncIterable<unknown>) send(item)
        tellRemainder()
      } else {
        const answer = await result
        tellRemainder()
        send(answer)
      }
      reply(new Uint8Array(), () => exchange.end())
    } catch (error) {
      const fault = toFault(error)
      tellRemainder()
      reply(write('json', fault), () => exchange.end(fromFault(fault)))
    }
  }

  #contextOf(node: CallNode, exchange: VirtualExchange, called: Called, label: string): Context {
    const time = this.#time
    const open = this.#open
    return {
      get signal() {
        return exchange.cancel.signal
      },
      peer: exchange.from,
      budget: called.budget,
      get chain() {
        return chainThrough(called.chain, exchange.from, hopOf(node.id, label))
      },
      remainingMs: () => Math.max(0, called.deadlineMs - time.now()),
      progress(fraction, note) {
        if (!open.has(exchange)) return
        called.deadlineMs = Math.min(time.now() + called.timeoutMs, called.limitMs)
        const report = toProgress(fraction, note)
        node.send(exchange.from, new Uint8Array(), () => open.has(exchange) && exchange.progress(report))
      },
      get envelope(): never {
        throw new Error('the port network has no envelopes')
      },
    }
  }

  /** The caller's side: opens an exchange, whose items come out of the iterator. */
  #begin(...call: Call) {
    const [node, peer, protocol, name, input, options] = call
    const method = protocol.methods[name]
    if (method === undefined) throw new ParleyError('MSG004', `${protocol.name} has no method ${name}`)
    const kind = kindOf(method)
    const request = parse(method.request, input, name)
    if (!node.isConnected(peer)) throw notConnected(node.id, peer)
    const payload = write(method.content, request)
    options.signal?.throwIfAborted()
    const time = this.#time
    const timeoutMs = options.timeoutMs ?? method.timeoutMs ?? 30_000
    const limitMs = time.now() + (options.maxMs ?? Number.POSITIVE_INFINITY)
    const { exchange, items, giveUp, wait } = this.#openExchange(call, timeoutMs, limitMs)
    if (kind !== 'one-way') wait()
    this.counted[kind] += 1
    const deadlineMs = Math.min(time.now() + timeoutMs, limitMs)
    const chain = options.chain ?? options.parent?.chain
    const budget = options.carried && sliceOf(options.carried, START_MS + time.now())
    const called = { chain, budget, protocol: wireId(protocol), method: name, deadlineMs, timeoutMs, limitMs }
    const arrive = (): void => {
      const target = this.#nodes.get(peer)
      if (target) void this.#answer(target, exchange, called, payload)
    }
    node.send(peer, payload, arrive, kind === 'one-way' ? 'one-way' : 'steady')
    options.attemptObserver?.sent()
    return { items, giveUp }
  }

  /** Nothing is waited for before `wait`. */
  #openExchange([node, peer, , name, , options]: Call, timeoutMs: number, limitMs: number) {
    const open = this.#open
    const time = this.#time
    const arriving = createItems()
    const stops: Stop[] = []
    let stopTimer: Stop = () => {}
    const restart = (): void => {
      stopTimer()
      stopTimer = time.after(Math.min(timeoutMs, limitMs - time.now()), () =>
        giveUp(new ParleyError('COM001', `${name} took longer than ${timeoutMs} ms`)),
      )
    }
    const exchange: VirtualExchange = {
      from: node.id,
      to: peer,
      cancel: new Cancel(),
      item: (value) => arriving.push(value),
      progress(report) {
        restart()
        options.onProgress?.(report, peer)
      },
      remainder: (left) => options.onRemainder?.(left),
      end: (error) => {
        if (exchange.forget()) arriving.end(error)
      },
      forget() {
        const wasOpen = open.delete(exchange)
        for (const stop of stops.splice(0)) stop()
        return wasOpen
      },
    }
    const giveUp = (error: Error): void => {
      if (!open.has(exchange)) return
      exchange.end(error)
      node.send(peer, new Uint8Array(), () => exchange.cancel.abort(error))
    }
    const wait = (): void => {
      open.add(exchange)
      stops.push(() => stopTimer())
      restart()
      const abort = (): void => giveUp(options.signal?.reason)
      options.signal?.addEventListener('abort', abort, { once: true })
      stops.push(() => options.signal?.removeEventListener('abort', abort))
    }
    return { exchange, items: arriving.drain(), giveUp, wait }
  }

  async #oneWay(call: Call): Promise<void> {
    this.#begin(...call)
  }

  async #unary(...call: Call): Promise<unknown> {
    const { items } = this.#begin(...call)
    for await (const item of items) return item
    throw new ParleyError('APP001', `${call[3]} ended without a response`)
  }

  async *#stream(...call: Call): AsyncGenerator<unknown, void> {
    const { items, giveUp } = this.#begin(...call)
    try {
      yield* items
    } finally {
      giveUp(new ParleyError('COM001', `the reader of ${call[3]} stopped`))
    }
  }
}
