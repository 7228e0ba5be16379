/** A TCP proxy in front of one node, whose connections can all be cut at once. State: the open pairs of sockets. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface CuttingProxy {
  readonly port: number
  /** Cuts all; how many there were. */
  cut(): number
  close(): Promise<void>
}

/** A port of loopback that was free a moment ago. */
export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export const startProxy = async (upstreamPort: number): Promise<CuttingProxy> => {
  const pairs = new Set<readonly [Socket, Socket]>()
  const server = createServer((near) => {
    const far = connect(upstreamPort, '127.0.0.1')
    const pair = [near, far] as const
    pairs.add(pair)
    const end = (): void => {
      near.destroy()
      far.destroy()
      pairs.delete(pair)
    }
    for (const socket of pair) {
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', end)
    }
    near.pipe(far)
    far.pipe(near)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  const cut = (): number => {
    const count = pairs.size
    for (const [near, far] of [...pairs]) {
      near.destroy()
      far.destroy()
    }
    return count
  }
  return {
    port,
    cut,
    async close() {
      server.close()
      cut()
      await once(server, 'close')
    },
  }
}
