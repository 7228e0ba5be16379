/**
 * What later features of a node give its network: the directory, the load of peers, what coordination knows. The network
 * is made before them and asks them through these, which also say what holds until they are there.
 * State: what was given.
 */
import type { Connection } from '@libp2p/interface'
import type { Directory } from '../../discovery/directory/directory.ts'
import type { Candidate } from '../../discovery/directory/tables/offer-index.ts'
import type { Undelivered } from '../../protocols/delivery/recovery/error-recovery.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { ForwardedReply } from '../../protocols/wire/responder/responder.ts'
import type { RecordCall } from '../calls/recorded-calls.ts'
import type { RelayClient } from './nat/relay-client.ts'

/** Given once, by the feature that it belongs to. */
export class NetworkExtension<T> {
  #current: T

  /** @param before holds until it is given */
  constructor(before: T) {
    this.#current = before
  }

  get current(): T {
    return this.#current
  }
  give(value: T): void {
    this.#current = value
  }
}

/** What coordination knows of the founded mesh that this node belongs to. */
export interface MeshBelonging {
  meshId(): string | undefined
  /** Whether this node may leave that mesh for another one. */
  mayMove(): boolean
  /** A member says that it belongs to the founded mesh of this id. */
  heard(meshId: string): void
}

/** Until coordination runs; what members say is kept for it. */
class UnknownBelonging implements MeshBelonging {
  #heard: string | undefined

  meshId(): undefined {}
  mayMove(): boolean {
    return true
  }
  heard(meshId: string): void {
    this.#heard = meshId
  }
  get lastHeard(): string | undefined {
    return this.#heard
  }
}

export class NetworkExtensions {
  readonly directory = new NetworkExtension<Directory | undefined>(undefined)
  /** What a peer last said of its load; undefined where it said nothing. */
  readonly peerLoad = new NetworkExtension<
    (peer: string) => { readonly load: number; readonly queueLength: number } | undefined
  >(() => undefined)
  /** This node itself as a candidate, where it offers the protocol. */
  readonly ownCandidate = new NetworkExtension<(protocol: string, major: number) => Candidate | undefined>(
    () => undefined,
  )
  /** Sends an answer to a third party. */
  readonly sendReply = new NetworkExtension<(reply: ForwardedReply) => Promise<void>>(async ({ replyTo }) => {
    throw new ParleyError('COM002', `this node is starting, and cannot send an answer to ${replyTo} yet`, {
      hint: 'ask again in a moment',
    })
  })
  /** Settles when it is decided whether the connection to this peer stays; undefined where nobody asked. */
  readonly connectionPruning = new NetworkExtension<(peer: string) => Promise<void> | undefined>(() => undefined)
  /** Where this node uses relays, or is one. */
  readonly relays = new NetworkExtension<
    Pick<RelayClient, 'addresses' | 'facts' | 'hasReservation' | 'isNeeded'> | undefined
  >(undefined)
  /** The connection was made to try whether a peer can be dialled, and is about to be closed. */
  readonly isDialBack = new NetworkExtension<(connection: Connection) => boolean>(() => false)
  /** Keeps a call that failed although its recovery was tried. */
  readonly onDeadLetter = new NetworkExtension<(letter: Undelivered) => void>(() => {})
  /** Notes a call of a conversation. */
  readonly recordCall = new NetworkExtension<RecordCall>(() => undefined)
  readonly #unknown = new UnknownBelonging()
  #belonging: MeshBelonging = this.#unknown

  get belonging(): MeshBelonging {
    return this.#belonging
  }
  /** Coordination runs, and hears what was heard before. */
  giveBelonging(belonging: MeshBelonging): void {
    this.#belonging = belonging
    const heard = this.#unknown.lastHeard
    if (heard !== undefined) belonging.heard(heard)
  }
}
