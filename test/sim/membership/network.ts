/**
 * The network of a simulated mesh: connections that keep the order of what they carry, delays, losses, cuts.
 *
 * State: connections, links that are cut (what is sent there vanishes, and the connection stands), figures.
 */
import type { Queue } from './queue.ts'

export interface NetworkOptions {
  readonly latencyMs: readonly [least: number, most: number]
  /** Share of single messages that are lost, 0 to 1. */
  readonly loss: number
}

export interface Network {
  connect(a: string, b: string): void
  disconnect(a: string, b: string): void
  isConnected(a: string, b: string): boolean
  neighbours(id: string): ReadonlySet<string>
  /** `kind` is what it is counted as. Nothing is sent where there is no connection. */
  send(kind: string, from: string, to: string, arrive: () => void): void
  /** One way. */
  cut(from: string, to: string): void
  heal(): void
  readonly sent: Record<string, number>
}

export const createNetwork = (queue: Queue, random: () => number, { latencyMs, loss }: NetworkOptions): Network => {
  const connections = new Map<string, Set<string>>()
  const cuts = new Set<string>()
  const lanes = new Map<string, number>()
  const sent: Record<string, number> = {}
  const of = (id: string): Set<string> => {
    const known = connections.get(id) ?? new Set()
    connections.set(id, known)
    return known
  }
  const isConnected = (a: string, b: string): boolean => connections.get(a)?.has(b) === true

  return {
    sent,
    isConnected,
    neighbours: of,
    connect(a, b) {
      of(a).add(b)
      of(b).add(a)
    },
    disconnect(a, b) {
      of(a).delete(b)
      of(b).delete(a)
      lanes.delete(`${a}>${b}`)
      lanes.delete(`${b}>${a}`)
    },
    cut: (from, to) => void cuts.add(`${from}>${to}`),
    heal: () => cuts.clear(),
    send(kind, from, to, arrive) {
      if (!isConnected(from, to)) return
      sent[kind] = (sent[kind] ?? 0) + 1
      const lane = `${from}>${to}`
      if (random() < loss || cuts.has(lane)) return
      const [least, most] = latencyMs
      const atMs = Math.max(lanes.get(lane) ?? 0, queue.now() + least + random() * (most - least))
      lanes.set(lane, atMs)
      queue.after(atMs - queue.now(), () => {
        if (isConnected(from, to)) arrive()
      })
    },
  }
}
