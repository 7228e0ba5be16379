/** Clients of one node that were asked for without defaults: asked for again, they are the same. State: them. */
import type { AnyProtocol, CallOptions, Client } from '../../../protocols/define.ts'

export class ClientCache {
  readonly #clients = new Map<AnyProtocol, Map<string, unknown>>()

  get<P extends AnyProtocol>(peer: string, protocol: P, defaults: CallOptions, make: () => Client<P>): Client<P> {
    if (Object.keys(defaults).length > 0) return make()
    const byPeer = this.#clients.get(protocol) ?? new Map<string, unknown>()
    this.#clients.set(protocol, byPeer)
    // Of this protocol, as it is kept by it.
    const known = byPeer.get(peer) as Client<P> | undefined
    if (known !== undefined) return known
    const client = make()
    byPeer.set(peer, client)
    return client
  }
}
