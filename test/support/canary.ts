/** Listeners on addresses of this machine's loopback that nobody has a reason to connect to: they count who does. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'

export interface Canary {
  readonly port: number
  readonly hosts: readonly string[]
  /** Connections so far. */
  count(): number
  stop(): Promise<void>
}

/** @param hosts addresses within 127.0.0.0/8; all of them get the same port */
export const startCanary = async (hosts: readonly string[]): Promise<Canary> => {
  let connections = 0
  const servers: Server[] = []
  const listen = async (host: string, port: number): Promise<number> => {
    const server = createServer((socket) => {
      connections += 1
      socket.on('error', () => {})
      socket.destroy()
    })
    server.listen(port, host)
    await once(server, 'listening')
    servers.push(server)
    return (server.address() as AddressInfo).port
  }
  const [first = '127.0.0.2', ...others] = hosts
  const port = await listen(first, 0)
  for (const host of others) await listen(host, port)
  return {
    port,
    hosts,
    count: () => connections,
    async stop() {
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    },
  }
}
