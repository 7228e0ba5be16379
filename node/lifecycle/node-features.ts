/** What runs on a node once it has started. Types alone. */
import type { Directory } from '../../discovery/directory/directory.ts'
import type { createCommands } from '../../protocols/command/commands.ts'
import type { createEvents } from '../../protocols/events/events.ts'
import type { createReplies } from '../calls/reply-to.ts'
import type { Coordination } from '../coordination/api.ts'
import type { DurableMessages } from '../parts/durable-messages.ts'
import type { PartRunner } from '../parts/runner.ts'
import type { Presence } from './start-presence.ts'
import type { Reachability } from './start-reachability.ts'

export interface NodeFeatures extends Presence, Reachability {
  readonly directory: Directory
  readonly events: ReturnType<typeof createEvents>
  readonly replies: Awaited<ReturnType<typeof createReplies>>
  readonly messages: DurableMessages
  readonly commands: ReturnType<typeof createCommands>
  readonly parts: PartRunner
  readonly coordination: Coordination
}
