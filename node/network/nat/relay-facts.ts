/** What a node tells of relays: as one that is reached through them, and as one that serves. No types of libp2p: programs see these. */

export interface RelayFigures {
  places: number
  connections: number
  reserved: number
  carried: number
  bytes: number
  /** Times that a connection waited, since all together carried more than they may. */
  slowed: number
  /** Requests that were refused, by reason. */
  refused: Record<string, number>
}

export interface RelayFacts {
  /** Whether members can dial this node; undefined while that is not known. */
  readonly dialable: boolean | undefined
  readonly places: string[]
  readonly granted: number
  readonly refused: number
  /** Peers that are reached through a relay now, and relayed connections that a direct one replaced. */
  readonly relayed: number
  readonly upgraded: number
  /** What came of dialling others that asked whether they can be dialled. */
  readonly trials: Readonly<Record<'reached' | 'unreached' | 'untried', number>>
  readonly serving: RelayFigures | undefined
}
