/**
 * A TCP proxy that can be cut as a network is: what is on its way stays where it is, in silence, and newcomers are let in
 * and told nothing; healed, it breaks the old connections, whose ends have moved on.
 *
 * State: the open pairs of sockets.
 */
import { connect, createServer, type Socket } from 'node:net'

export interface CutProxy {
  readonly port: number
  cut(): void
  heal(): void
  close(): Promise<void>
}

export const createCutProxy = async (target: number): Promise<CutProxy> => {
  const pairs = new Set<readonly [Socket, Socket]>()
  let isCut = false
  const forward = (from: Socket, to: Socket): void => {
    from.on('data', (bytes) => {
      if (!isCut) to.write(bytes)
    })
    from.on('error', () => to.destroy())
    from.on('close', () => to.destroy())
  }
  const server = createServer((inside) => {
    const outside = connect(target, '127.0.0.1')
    const pair = [inside, outside] as const
    pairs.add(pair)
    inside.on('close', () => pairs.delete(pair))
    forward(inside, outside)
    forward(outside, inside)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const breakAll = (): void => {
    for (const [inside, outside] of pairs) {
      inside.resetAndDestroy()
      outside.resetAndDestroy()
    }
  }
  return {
    port: address.port,
    cut() {
      isCut = true
    },
    heal() {
      isCut = false
      breakAll()
    },
    async close() {
      breakAll()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
