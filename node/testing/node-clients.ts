/**
 * Calls of a test node: the choice of a peer, failover, retries and breakers are those of a real node (node/calls/). What is
 * virtual is the link below them: it hands a request to the other node as a value, in virtual time.
 *
 * State: the contracts that were called, by their ids.
 */
import type { Directory } from '../../discovery/directory/directory.ts'
import type { ProtocolRecord } from '../../discovery/directory/record/agent-record.ts'
import type { Candidate } from '../../discovery/directory/tables/offer-index.ts'
import { type AnyProtocol, kindOf, majorOf, wireId } from '../../protocols/define.ts'
import { DeliveryOptionsSchema } from '../../protocols/delivery/options.ts'
import { createRecoveries, type Undelivered } from '../../protocols/delivery/recovery/error-recovery.ts'
import { PeerBreakers } from '../../protocols/delivery/recovery/peer-breakers.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Port } from '../../protocols/port.ts'
import type { Caller, OutgoingCall } from '../../protocols/wire/caller/caller.ts'
import { encodePayload } from '../../protocols/wire/payload/payload.ts'
import { encodeOpen } from '../../protocols/wire/payload/payload-recovery.ts'
import { type Clients, createClients } from '../calls/clients.ts'
import { createLoadBalancer } from '../calls/load-balancer.ts'
import { createMethodCodecs, type MethodCodecOf } from '../calls/method-codecs.ts'
import { createRetryingCall } from '../calls/retrying-call.ts'

type Ask = (input: unknown, options: Record<string, unknown>) => unknown

const unused = (): never => {
  throw new ParleyError('MSG004', 'a link of a test mesh does not have this', { hint: 'test it with real nodes' })
}

/** What the other side answered, as the bytes that a client reads. */
const answerBytes = (protocol: AnyProtocol, name: string, value: unknown): Uint8Array => {
  const method = protocol.methods[name]
  if (method === undefined || kindOf(method) === 'one-way') return new Uint8Array(0)
  return method.content === undefined ? encodeOpen(value) : encodePayload(method.content, value)
}

/** The calls of one protocol to one peer. */
const linkTo = (port: Pick<Port, 'to'>, codecs: MethodCodecOf, peer: string, protocol: AnyProtocol): Caller => {
  const client = port.to(peer, protocol) as unknown as Record<string, Ask>
  const ask = ({
    method,
    payload,
    timeoutMs,
    maxMs,
    signal,
    onProgress,
    onRemainder,
    onSent,
    extra,
  }: OutgoingCall): unknown => {
    const input = codecs(protocol, method).codec.values?.read(payload)
    const { conversationId, correlationId, headers, chain, budget } = extra ?? {}
    return client[method]?.(input, {
      timeoutMs,
      ...(maxMs !== undefined && { maxMs }),
      ...(onSent !== undefined && { attemptObserver: { sent: onSent } }),
      ...(signal !== undefined && { signal }),
      ...(onProgress !== undefined && { onProgress }),
      ...(conversationId !== undefined && { conversationId }),
      ...(correlationId !== undefined && { correlationId }),
      ...(headers !== undefined && { headers }),
      ...(chain !== undefined && { chain }),
      ...(budget !== undefined && { carried: budget, onRemainder }),
    })
  }
  const unary = async (call: OutgoingCall): Promise<Uint8Array> => answerBytes(protocol, call.method, await ask(call))
  return {
    unary,
    request(call, sink) {
      unary(call).then(
        (bytes) => sink.done(bytes),
        (error: unknown) => sink.fail(error),
      )
    },
    async *stream(call) {
      for await (const item of ask(call) as AsyncIterable<unknown>) yield answerBytes(protocol, call.method, item)
    },
    oneWay: async (call) => void (await ask(call)),
    inFlight: () => 0,
    waiting: () => 0,
    calls: () => 0,
    queuedBytes: () => 0,
    peerLoad: () => 0,
    peerVersion: () => protocol.version,
    late: () => [],
    closed: () => false,
    close: async () => {},
    abort: unused,
  }
}

export interface NodeClientsDeps {
  readonly port: Port
  readonly directory: Pick<Directory, 'agents' | 'offers' | 'seek'>
  /** What this node serves. */
  own(): Iterable<ProtocolRecord>
  chance(): number
  onDeadLetter(letter: Undelivered): void
}

/** `to`, `any` and `all` of a test node. */
export const createNodeClients = ({ port, directory, own, chance, onDeadLetter }: NodeClientsDeps): Clients => {
  const { clock, timers, log, self } = port
  const known = new Map<string, AnyProtocol>()
  const made = createMethodCodecs()
  const codecs: MethodCodecOf = (protocol, method) => {
    known.set(wireId(protocol), protocol)
    return made(protocol, method)
  }
  const link = (peer: string, protocolId: string): Caller => {
    const protocol = known.get(protocolId)
    return protocol === undefined ? unused() : linkTo(port, made, peer, protocol)
  }
  const breakers = new PeerBreakers(DeliveryOptionsSchema.parse({}).breaker)
  const recoveries = createRecoveries({ clock, log, metrics: { counter: () => () => {} }, onDeadLetter })
  const invoke = createRetryingCall({
    clock,
    timers,
    links: { get: link, open: async ({ peer, protocolId }) => link(peer, protocolId) },
    chance,
    done: () => {},
    retried: () => {},
    breakers,
    isExempt: (peer) => peer === self.id,
    recoveries,
  })
  const ownCandidate = (protocol: string, major: number): Candidate[] =>
    [...own()]
      .filter(({ name, version }) => name === protocol && majorOf(version) === major)
      .map(({ version }) => ({ peer: self.id, name: self.name, state: 'alive', version, methods: [] }))
  const balancer = createLoadBalancer({
    clock,
    timers,
    invoke,
    chance,
    candidates: (protocol, major) => [...directory.offers(protocol, major), ...ownCandidate(protocol, major)],
    agents: directory.agents,
    loadOf: () => 0,
    seek: directory.seek,
    failedOver: () => {},
    breakers,
    recoveries,
  })
  return createClients(balancer, codecs)
}
