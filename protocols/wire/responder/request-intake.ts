/**
 * Where the requests of a link come in: sizes, the order of exchanges, the route, and a slot or a place in the queue for
 * one. Whatever it refuses is answered with an error here.
 *
 * State: the parts of requests that are not whole yet, the highest exchange so far, and the peer's flood limit.
 */
import type { MethodKind } from '../../define.ts'
import { ParleyError } from '../../errors.ts'
import { type DelegationChain, requireChain } from '../delegation-chain.ts'
import { createReassembler, type Reassembler } from '../frames/fragmentation.ts'
import { type Frame, KIND } from '../frames/frame.ts'
import type { ExchangeTable } from '../link/exchange-table.ts'
import { type LinkDeps, MAX_CREDIT } from '../link/link-limits.ts'
import type { Endpoint } from '../payload/contract.ts'
import { createFloodLimit, type FloodLimit } from './flood-limit.ts'
import { InboundRequest, type InboundRequestHost } from './inbound-request.ts'
import type { PeerConcurrency } from './peer-slots.ts'
import type { ResponseWriter } from './response-writer.ts'

export interface RequestIntakeDeps extends Pick<LinkDeps, 'clock' | 'limits' | 'counts'> {
  /** For messages. */
  readonly protocol: string
  /** The requests in work, which it adds to. */
  readonly open: ExchangeTable<InboundRequest>
  readonly peerSlots: PeerConcurrency
  readonly responses: Pick<ResponseWriter, 'refuse'>
  /** Finds the endpoint and checks what the caller may; throws the error that it receives. */
  route(method: string, now: number): Endpoint
  refused(code: string): void
  /** Has the link not look at frames for so long. */
  pauseFor(forMs: number): void
}

const isRequest = (kind: number): boolean => kind === KIND.request || kind === KIND.oneWay

/** A request that brings a window asks for a stream. */
const askedKind = (request: Frame): MethodKind =>
  request.kind === KIND.oneWay ? 'one-way' : request.credit > 0 ? 'stream' : 'unary'

export class RequestIntake {
  readonly #host: InboundRequestHost
  readonly #deps: RequestIntakeDeps
  readonly #open: ExchangeTable<InboundRequest>
  readonly #reassembler: Reassembler
  readonly #floodLimit: FloodLimit
  #isClosing = false
  #lastExchange = 0

  constructor(host: InboundRequestHost, deps: RequestIntakeDeps) {
    const { limits, peerSlots, clock } = deps
    this.#host = host
    this.#deps = deps
    this.#open = deps.open
    this.#reassembler = createReassembler(limits.maxMessageBytes, limits.maxMessageBytes * 4, peerSlots)
    this.#floodLimit = createFloodLimit(peerSlots, clock, deps.pauseFor)
  }

  /** @throws MSG003 for what breaks the link */
  onFrame(received: Frame): void {
    if (!isRequest(received.kind)) {
      this.#onControl(received)
      return
    }
    let whole: Frame | undefined
    try {
      whole = this.#reassembler.add(received)
    } catch (error) {
      if (!(error instanceof ParleyError) || error.code === 'MSG003') throw error
      this.#refuse(received, error)
      return
    }
    if (whole !== undefined) this.#accept(whole)
  }

  /** The peer was sent so many units of a stream. */
  unitsSent(units: number): void {
    this.#floodLimit.unitsSent(units)
  }

  /** New requests are refused from now on. */
  close(): void {
    this.#isClosing = true
  }

  /** Drops what is not whole. */
  clear(): void {
    this.#reassembler.clear()
  }

  /** Highest exchange that was taken on or refused. */
  lastExchange(): number {
    return this.#lastExchange
  }

  #onControl(received: Frame): void {
    this.#floodLimit.control()
    if (received.kind === KIND.cancel) {
      this.#reassembler.drop(received.exchange)
      this.#open
        .get(received.exchange)
        ?.end(new ParleyError('COM001', 'the caller gave the call up', { hint: 'stop working on it' }))
    } else if (received.kind === KIND.credit) {
      const request = this.#open.get(received.exchange)
      if (request === undefined) return
      request.credit = Math.min(request.credit + received.credit, MAX_CREDIT)
      request.onCredit?.()
    } else this.#deps.counts.unknownFrames += 1
  }

  #accept(received: Frame): void {
    this.#lastExchange = Math.max(this.#lastExchange, received.exchange)
    this.#floodLimit.request()
    try {
      this.#checkOpen(received)
      const now = this.#deps.clock.monotonic()
      const endpoint = this.#deps.route(received.method, now)
      if (askedKind(received) !== endpoint.kind) {
        throw new ParleyError('MSG004', `${this.#deps.protocol}.${endpoint.name} is ${endpoint.kind}`, {
          hint: 'the contracts of the two sides differ',
        })
      }
      const chain = received.extra?.chain
      if (chain !== undefined) this.#checkChain(chain, endpoint)
      const request = new InboundRequest(this.#host, endpoint, received, now)
      this.#open.set(received.exchange, request)
      try {
        this.#enter(request)
      } catch (error) {
        this.#open.delete(received.exchange)
        throw error
      }
    } catch (error) {
      this.#refuse(received, error)
    }
  }

  #checkChain(chain: DelegationChain, { name }: Endpoint): void {
    const { source, destination } = this.#host.about
    requireChain(chain, source, destination, `${this.#deps.protocol}.${name}`)
  }

  #checkOpen(received: Frame): void {
    if (this.#isClosing) {
      throw new ParleyError('COM002', 'the peer is stopping', { hint: 'call another peer', details: { sent: false } })
    }
    if (this.#open.get(received.exchange) !== undefined) {
      throw new ParleyError('SEC003', `exchange ${received.exchange} is open already`, {
        hint: 'number exchanges upwards',
      })
    }
  }

  /** A slot now, or a place in the queue for one; what waits is bounded in bytes for each peer. */
  #enter(request: InboundRequest): void {
    const { peerSlots, limits } = this.#deps
    if (peerSlots.waitingBytes > limits.maxQueuedBytes) {
      throw new ParleyError('COM003', `${peerSlots.waitingBytes} bytes of requests of this peer wait already`, {
        hint: 'send fewer large requests at once',
        details: { retryAfterMs: 200, reason: 'bytes' },
      })
    }
    peerSlots.acquire(request.priority, request, request.bytes)
    if (request.hasStarted) return
    request.hasWaited = true
    request.detachPayload()
    peerSlots.waitingBytes += request.bytes
  }

  #refuse(received: Frame, error: unknown): void {
    const code = error instanceof ParleyError ? error.code : 'APP001'
    this.#floodLimit.refused(code)
    if (code === 'COM003') this.#deps.counts.overloaded += 1
    this.#deps.refused(code)
    // Nothing of its budget was used.
    if (received.kind !== KIND.oneWay) this.#deps.responses.refuse(received, error, received.extra?.budget?.amounts)
  }
}
