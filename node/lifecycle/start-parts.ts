/** Steps of a start: the parts of this node, set up before it listens, and started with what they need once that is there. */
import type { Directory } from '../../discovery/directory/directory.ts'
import type { Commands } from '../../protocols/command/api.ts'
import type { AnyProtocol, Handlers } from '../../protocols/define.ts'
import type { Messages } from '../../protocols/delivery/api.ts'
import type { Events } from '../../protocols/events/api.ts'
import { tooLate } from '../../protocols/interceptors/chains.ts'
import { interceptors } from '../../protocols/interceptors/interceptor.ts'
import type { AnyPart, ApiOf } from '../../protocols/part.ts'
import type { Port } from '../../protocols/port.ts'
import { tokens } from '../../protocols/tokens.ts'
import { compile } from '../../protocols/wire/payload/contract.ts'
import { Interception } from '../calls/interception/interception.ts'
import { recordRequests } from '../calls/recorded-calls.ts'
import type { MeshOptions } from '../options/schema.ts'
import { budgets, coordination, notifications, resources, tasks } from '../parts/built-in.ts'
import { nodeTokens } from '../parts/node-tokens.ts'
import { exposeParts } from '../parts/part-views.ts'
import { coalitions, plans } from '../parts/plan-parts.ts'
import { PartRunner } from '../parts/runner.ts'
import type { NodeCore } from './node-core.ts'

export type Serve = <P extends AnyProtocol>(protocol: P, handlers: Handlers<P>) => Promise<() => Promise<void>>

const sectionOf = (options: MeshOptions, part: AnyPart): unknown => {
  const { tasks: ofTasks, resources: ofResources, plans: ofPlans, partOptions } = options
  if (part === tasks) return ofTasks
  if (part === plans) return ofPlans
  return part === resources ? ofResources : partOptions[part.name]
}

/** Those of the mesh itself have no vendor. */
const isOwnPart = ({ name }: { readonly name: string }): boolean => !name.includes('/')

/**
 * Before the network listens: handlers, extension points, journal commands.
 * @param serve offers a protocol to the mesh; there once the directory is
 */
export const prepareParts = async ({ startup, network, quota, undo }: NodeCore, serve: Serve) => {
  const { options, metrics } = startup
  const { addServed, extensions, ownPort } = network
  const interception = new Interception(network, () => [...options.interceptors, ...parts.seal(interceptors, tooLate)])
  const port: Port = { ...interception.port, serve: (protocol, handlers) => serve(protocol, handlers) }
  const parts: PartRunner = new PartRunner({
    parts: [coordination, notifications, tasks, resources, plans, coalitions, budgets, ...options.parts],
    provides: [...Object.values(nodeTokens), tokens.events, tokens.messages, tokens.commands],
    port: (part) => (isOwnPart(part) ? ownPort : port),
    section: (part) => sectionOf(options, part),
    answer(part, protocol, handlers) {
      const served = compile(protocol, handlers)
      if (isOwnPart(part)) return addServed(served, { own: true })
      return addServed(recordRequests(interception.serving(served), (call) => extensions.recordCall.current(call)))
    },
    quota,
  })
  await parts.prepare()
  undo.push(() => parts.stop())
  exposeParts(metrics, parts)
  return { parts, interception }
}

/** What parts may need that is none. */
export interface Provided {
  readonly directory: Directory
  readonly presence: ApiOf<typeof nodeTokens.presence>
  readonly calls: ApiOf<typeof nodeTokens.calls>
  readonly events: Events & { readonly own: Events }
  readonly messages: Messages
  readonly commands: Commands
  readonly advertise: ApiOf<typeof nodeTokens.advertise>
}

export const startParts = async (
  { startup, network, quota, undo }: NodeCore,
  parts: PartRunner,
  { directory, presence, calls, events, messages, commands, advertise }: Provided,
): Promise<void> => {
  parts.provide(nodeTokens.startup, startup)
  parts.provide(nodeTokens.network, network)
  parts.provide(nodeTokens.quota, quota)
  parts.provide(nodeTokens.directory, directory)
  parts.provide(nodeTokens.presence, presence)
  parts.provide(nodeTokens.calls, calls)
  parts.provide(nodeTokens.advertise, advertise)
  parts.provide(nodeTokens.decisions, parts.journals())
  parts.provide(nodeTokens.ownEvents, events.own)
  parts.provide(tokens.events, events)
  parts.provide(tokens.messages, messages)
  parts.provide(tokens.commands, commands)
  undo.push(() => parts.stop())
  await parts.start()
}
