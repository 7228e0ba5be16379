/**
 * What programs and parts of others do and serve, through the interceptors of this node. What the mesh does for itself
 * passes none. State: the chains, made when they are asked for first: once the parts that start with the node are set up.
 */
import { type Chains, createChains, type ServeChain } from '../../../protocols/interceptors/chains.ts'
import { type Interceptor, itemsOf, type ServeInput } from '../../../protocols/interceptors/interceptor.ts'
import type { Port } from '../../../protocols/port.ts'
import {
  compile,
  type Endpoint,
  type RunContext,
  type RunMethod,
  type Served,
} from '../../../protocols/wire/payload/contract.ts'
import { mapItems, servedValuesOf } from '../../../protocols/wire/payload/intercepted-values.ts'
import type { Network } from '../../network/network.ts'
import { clock } from '../../platform/platform.ts'
import { type ByteCalls, type Clients, createClients } from '../clients.ts'
import { InterceptedCalls } from './intercepted-calls.ts'

const inputOf = ({ name, version }: Served, endpoint: Endpoint, request: unknown, context: RunContext): ServeInput => {
  const { headers, metadata, conversationId, correlationId } = context.envelope
  return {
    protocol: name,
    version,
    method: endpoint.name,
    methodKind: endpoint.kind,
    peer: context.peer,
    request,
    headers,
    metadata,
    conversationId,
    correlationId,
    signal: context.signal,
    remainingMs: context.remainingMs,
  }
}

const interceptedRun = (served: Served, endpoint: Endpoint, chain: ServeChain): RunMethod => {
  const values = servedValuesOf(endpoint)
  if (endpoint.kind === 'stream')
    return (payload, context) =>
      mapItems(
        chain.stream(
          inputOf(served, endpoint, values.request(payload), context),
          (input) => itemsOf(values.handle(input.request, context)),
          (item) => item,
          { signal: context.signal },
        ),
        values.answer,
      )
  return async (payload, context) => {
    const input = inputOf(served, endpoint, values.request(payload), context)
    const answer = await chain.run(input, (changed) => values.handle(changed.request, context), {
      signal: context.signal,
    })
    return values.answer(answer)
  }
}

/** What this node is asked: behind membership, capability, slot and schema, in front of the handler, within its time. */
const interceptRequests = (served: Served, chain: ServeChain): Served => ({
  ...served,
  methods: new Map(
    [...served.methods].map(([name, endpoint]) => [
      name,
      { ...endpoint, run: interceptedRun(served, endpoint, chain) },
    ]),
  ),
})

export class Interception {
  readonly #network: Network
  readonly #gather: () => Iterable<Interceptor>
  #chains: Chains | undefined
  #outgoing: { readonly calls: ByteCalls; readonly clients: Clients } | undefined

  /** @param gather all interceptors, asked once */
  constructor(network: Network, gather: () => Iterable<Interceptor>) {
    this.#network = network
    this.#gather = gather
  }

  /** @throws MSG001 for interceptors that cannot be put in order */
  get chains(): Chains {
    this.#chains ??= createChains(this.#network.ownPort, this.#gather())
    return this.#chains
  }

  /** What a node calls for programs. */
  get outgoing(): { readonly calls: ByteCalls; readonly clients: Clients } {
    this.#outgoing ??= this.#throughChain()
    return this.#outgoing
  }

  /** What programs build on. */
  get port(): Port {
    const { port, addServed } = this.#network
    return {
      ...port,
      serve: (protocol, handlers) => addServed(this.serving(compile(protocol, handlers))),
      to: (peer, protocol, defaults) => this.outgoing.clients.to(peer, protocol, defaults),
    }
  }

  /** What programs serve. */
  serving(served: Served): Served {
    const { serve } = this.chains
    return serve === undefined ? served : interceptRequests(served, serve)
  }

  #throughChain(): { readonly calls: ByteCalls; readonly clients: Clients } {
    const { calls, clients, codecs, router } = this.#network
    const { call: chain } = this.chains
    if (chain === undefined) return { calls, clients }
    const intercepted = new InterceptedCalls({ calls, chain, clock, isOwn: (protocolId) => router.isOwn(protocolId) })
    return { calls: intercepted, clients: createClients(intercepted, codecs) }
  }
}
