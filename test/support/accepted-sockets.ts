/** TCP connections that servers of this process accepted, for tests that break one as a network does: with a reset. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'

export interface AcceptedSockets {
  /** Open connections to the port, the oldest first. */
  at(port: number): Socket[]
  stop(): void
}

export const watchAccepted = (): AcceptedSockets => {
  const sockets: Socket[] = []
  const note = (message: unknown): void => {
    const socket: unknown = typeof message === 'object' && message !== null ? Reflect.get(message, 'socket') : undefined
    if (socket instanceof Socket) sockets.push(socket)
  }
  subscribe('net.server.socket', note)
  return {
    at: (port) => sockets.filter((socket) => socket.localPort === port && !socket.destroyed),
    stop: () => void unsubscribe('net.server.socket', note),
  }
}
