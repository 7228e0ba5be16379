/** A failure detector on a node of the port network, which can stand still as a process that is stopped does. */
import type { Activity } from '../../discovery/agent-activity.ts'
import { createSwim, type Swim } from '../../discovery/swim/swim.ts'
import type { MemberStatusChange, SwimPort } from '../../discovery/swim/swim-driver.ts'
import type { SwimSettings } from '../../discovery/swim/swim-settings.ts'
import type { NetworkNode, PortNetwork } from '../../node/testing/virtual/port-network.ts'

export interface Watcher extends NetworkNode {
  readonly swim: Swim
  /** `suspect <id>` and so on, with the virtual time. */
  readonly told: { what: string; atMs: number }[]
  /** Calls that it made. */
  asked(): number
  /** From here on it neither acts nor answers; its connections stand. */
  freeze(): void
  /** What came meanwhile comes now, timers first. */
  thaw(): void
}

/** The Port of a node that can stand still: calls to it and timers wait. */
export const stoppable = (node: NetworkNode) => {
  let isFrozen = false
  let asked = 0
  let late: (() => void)[] = []
  const thawed: (() => void)[] = []
  const port: SwimPort & NetworkNode['port'] = {
    ...node.port,
    timers: {
      after: (delayMs, fn) => node.port.timers.after(delayMs, () => (isFrozen ? void late.push(fn) : fn())),
      every: (periodMs, fn) => node.port.timers.every(periodMs, () => (isFrozen ? undefined : fn())),
    },
    serve: (protocol, handlers) => {
      const held = Object.entries(handlers).map(([method, handler]) => [
        method,
        async (...given: unknown[]) => {
          if (isFrozen) await new Promise<void>((resolve) => thawed.push(resolve))
          return (handler as (...given: unknown[]) => unknown)(...given)
        },
      ])
      // The same methods, by construction.
      return node.port.serve(protocol, Object.fromEntries(held) as typeof handlers)
    },
    to: (peer, protocol, defaults) => {
      asked += 1
      return node.port.to(peer, protocol, defaults)
    },
  }
  return {
    port,
    asked: () => asked,
    freeze() {
      isFrozen = true
    },
    thaw() {
      isFrozen = false
      const timers = late
      late = []
      for (const fn of timers) fn()
      for (const resolve of thawed.splice(0)) resolve()
    },
  }
}

export const startWatcher = async (
  network: PortNetwork,
  name: string,
  settings: Partial<SwimSettings> = {},
  load = { load: 0, queueLength: 0 },
  members = 10,
  activity?: () => Activity,
): Promise<Watcher> => {
  const node = network.start(name)
  const told: Watcher['told'] = []
  const tell = (what: string): void => void told.push({ what, atMs: network.time.now() })
  const { port, ...rest } = stoppable(node)
  const swim = await createSwim(
    {
      port,
      load: () => load,
      ...(activity === undefined ? {} : { activity }),
      members: () => members,
      incarnationOf: () => undefined,
      changed: ({ status, peer }: MemberStatusChange) => tell(`${status} ${peer}`),
      presumedDead: () => tell('presumed dead'),
    },
    settings,
  )
  return { ...node, ...rest, swim, told }
}
