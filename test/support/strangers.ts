/**
 * Strangers: no token, no manners. Half-open sockets, and libp2p connections that use whatever they can before they are
 * thrown out; each is renewed when it ends.
 *
 * State: the sockets and connections of one attack, until its stop().
 */
import { connect, type Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import type { Connection } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

export interface Attack {
  /** Connections that were made, and bytes that were given to them. */
  seen(): { connections: number; bytes: number }
  stop(): Promise<void>
}

/** What a socket says: nothing, that it wants Noise, and half of a handshake. */
const SAID = [
  undefined,
  Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n', 'latin1'),
  Buffer.concat([Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n', 'latin1'), Buffer.from([0, 32, 1, 2, 3])]),
]

/** So many sockets that get nowhere, each renewed at once when it is closed. */
export const halfOpen = (port: number, count: number, host = '127.0.0.1'): Attack => {
  const open = new Set<Socket>()
  let connections = 0
  let stopped = false
  const renew = (kind: number): void => {
    if (stopped) return
    const socket = connect(port, host)
    connections += 1
    open.add(socket)
    const said = SAID[kind % SAID.length]
    if (said !== undefined) socket.write(said)
    socket.on('error', () => {})
    socket.resume().on('close', () => {
      open.delete(socket)
      setImmediate(renew, kind)
    })
  }
  for (let at = 0; at < count; at += 1) renew(at)
  return {
    seen: () => ({ connections, bytes: 0 }),
    async stop() {
      stopped = true
      for (const socket of open) socket.destroy()
    },
  }
}

export type Flood =
  /** Large writes on all streams that it gets. */
  | 'bytes'
  /** Writes of one byte: each costs its receiver far more. */
  | 'crumbs'
  /** Streams that are opened and reset, again and again. */
  | 'streams'
  /** Nothing at all: it is only there. */
  | 'silence'

const CHUNK = new Uint8Array(64 * 1024)
const CRUMB = new Uint8Array(1)
const MAX_UNSENT = 1 << 20

const pour = async (
  connection: Connection,
  protocols: readonly string[],
  flood: Flood,
  gave: (bytes: number) => void,
) => {
  const alive = (): boolean => connection.status === 'open'
  const each = async (protocol: string): Promise<void> => {
    for (let at = 0; at < 64 && alive(); at += 1) {
      const stream = await connection.newStream(protocol, { maxOutboundStreams: 10_000 })
      if (flood === 'streams') {
        stream.abort(new Error('never mind'))
        continue
      }
      void (async () => {
        while (alive() && stream.status === 'open') {
          for (let more = 0; more < 64 && stream.writeBufferLength < MAX_UNSENT; more += 1) {
            const chunk = flood === 'bytes' ? CHUNK : CRUMB
            stream.send(chunk)
            gave(chunk.length)
            if (flood === 'crumbs') await new Promise(setImmediate)
          }
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      })().catch(() => {})
    }
  }
  await Promise.allSettled(protocols.map(each))
  while (alive()) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** So many connections that are secured and never admitted. Each `ids` of them have a peer id of their own. */
export const strangers = async (
  address: string,
  { count, protocols, flood, ids = count }: { count: number; protocols: readonly string[]; flood: Flood; ids?: number },
): Promise<Attack> => {
  const nodes = await Promise.all(
    Array.from({ length: Math.min(ids, count) }, () =>
      createLibp2p({
        addresses: { listen: [] },
        transports: [tcp()],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux({ maxOutboundStreams: 10_000 })],
        connectionGater: { denyDialMultiaddr: () => false },
        connectionMonitor: { enabled: false },
        connectionManager: { maxConnections: 10_000, maxParallelDials: 1_000, reconnectRetries: 0 },
      }),
    ),
  )
  const target = multiaddr(address)
  let connections = 0
  let bytes = 0
  let stopped = false
  const gave = (more: number): void => {
    bytes += more
  }
  const again = async (at: number): Promise<void> => {
    while (!stopped) {
      try {
        const node = nodes[at % nodes.length]
        const connection = await node?.dial(target, { force: true, signal: AbortSignal.timeout(5_000) })
        if (connection === undefined) return
        connections += 1
        await pour(connection, flood === 'silence' ? [] : protocols, flood, gave)
      } catch {
        // It was refused, which is what is tried for.
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  }
  const running = Array.from({ length: count }, (_, at) => again(at))
  return {
    seen: () => ({ connections, bytes }),
    async stop() {
      stopped = true
      await Promise.all(nodes.map((node) => node.stop()))
      await Promise.all(running)
    },
  }
}
