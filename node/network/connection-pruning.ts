/**
 * Gives up connections that nobody needs in a mesh that is too large for everyone to be connected to everyone.
 *
 * They come from joining (all start at the same few nodes), from calls, and from picks that better ones replaced
 * (discovery/overlay.ts). A connection is given up when neither side picked the other and no protocol but the mesh's own
 * has a link on it; links that nobody uses close by themselves. The other side is asked first and stops using the
 * connection before it says yes; calls to it wait for that answer and then dial. Wire id: `/parley/overlay/1`.
 * State: peers that said no, for a while, and those being asked.
 */
import type { Connection } from '@libp2p/interface'
import * as z from 'zod'
import type { Overlay } from '../../discovery/overlay.ts'
import { defineProtocol } from '../../protocols/define.ts'
import type { Port } from '../../protocols/port.ts'
import type { Peers } from './peers.ts'

export const overlayProtocol = defineProtocol({
  name: 'overlay',
  version: '1.0.0',
  methods: {
    part: {
      request: z.object({}),
      response: z.object({ agreed: z.boolean() }),
      timeoutMs: 2000,
      priority: 'high',
      description: 'Asks whether the connection may be given up; after a yes it is not used any more',
    },
  },
})

/** Between two looks at the connections, milliseconds; a little less or more at random. */
const LOOK_MS = 1_000
/** A new connection is left alone for so long: it was made for something. */
const YOUNG_MS = 3_000
/** Whoever said no is not asked again for so long; it asks by itself when it needs the connection no more. */
const REFUSED_MS = 600_000
const AGAIN_MS = 1_000
/** Asked at one look. */
const MAX_ASKED = 8

export interface ConnectionPruningDeps {
  port: Pick<Port, 'self' | 'clock' | 'timers' | 'to' | 'serve'>
  overlay: Overlay
  peers: Peers
  chance(): number
  /** A protocol that is not the mesh's own has a link on this connection, in either direction, or opens one. */
  used(connection: Connection): boolean
  /** Takes the connection out of use, and closes it when nothing is left on it. */
  retire(connection: Connection): void
}

export interface ConnectionPruning {
  /** Settles when it is clear whether the connection to this peer stays; undefined when nobody asked. */
  decision(peer: string): Promise<void> | undefined
  stop(): Promise<void>
}

export const createConnectionPruning = async (deps: ConnectionPruningDeps): Promise<ConnectionPruning> => {
  const { port, overlay, peers } = deps
  /** When a peer may be asked again. */
  const notBefore = new Map<string, number>()
  const asking = new Map<string, Promise<void>>()
  const now = (): number => port.clock.monotonic()
  let stopped = false

  /** A connection, where it is the only one and not needed here. */
  const superfluous = (peer: string): Connection | undefined => {
    const entry = peers.get(peer)
    if (entry === undefined || entry.connections.length > 1 || overlay.picks().has(peer)) return undefined
    return deps.used(entry.chosen) ? undefined : entry.chosen
  }

  const unserve = await port.serve(overlayProtocol, {
    part(_, { peer }) {
      // Where both ask at once, the lower id's question counts.
      const isMine = asking.has(peer) && port.self.id < peer
      if (isMine || !overlay.sparse()) return { agreed: false }
      // Asked once more, because the first yes did not arrive.
      if (peers.get(peer) === undefined) return { agreed: true }
      const connection = superfluous(peer)
      if (connection === undefined) return { agreed: false }
      deps.retire(connection)
      return { agreed: true }
    },
  })

  const ask = async (peer: string, connection: Connection): Promise<void> => {
    try {
      const { agreed } = await port.to(peer, overlayProtocol).part({})
      if (agreed) deps.retire(connection)
      else notBefore.set(peer, now() + REFUSED_MS)
    } catch {
      // It may have said yes, and not use the connection any more.
      notBefore.set(peer, now() + AGAIN_MS)
    } finally {
      asking.delete(peer)
    }
  }

  const look = (): void => {
    const at = now()
    for (const [peer, when] of notBefore) if (when <= at) notBefore.delete(peer)
    if (!overlay.sparse()) return
    const entries = peers.all()
    const picks = overlay.picks()
    // First come the connections that are wanted.
    if (entries.filter(({ id }) => picks.has(id)).length < picks.size - 1) return
    for (const { id, admittedAt } of entries) {
      if (asking.size >= MAX_ASKED) return
      if (at - admittedAt < YOUNG_MS || notBefore.has(id) || asking.has(id)) continue
      const connection = superfluous(id)
      if (connection !== undefined) asking.set(id, ask(id, connection))
    }
  }

  let stopLook = (): void => {}
  const lookLater = (): void => {
    stopLook = port.timers.after(LOOK_MS * (0.5 + deps.chance()), () => {
      if (stopped) return
      look()
      lookLater()
    })
  }
  lookLater()

  return {
    decision: (peer) => asking.get(peer),
    async stop() {
      stopped = true
      stopLook()
      await unserve()
    },
  }
}
