/** What a part may need of the mesh itself, as tokens: types alone, nothing of it is loaded here. */
import type { Commands } from './command/api.ts'
import type { CoordinatorFeature } from './coordinator/api.ts'
import type { Messages } from './delivery/api.ts'
import type { Events } from './events/api.ts'
import type { Journal } from './journal/client/journal-client.ts'
import type { Fences } from './journal/fencing/fence-guard.ts'
import { tokenOf } from './part.ts'

export const tokens = {
  events: tokenOf<Events>('events'),
  journal: tokenOf<Journal>('journal'),
  fences: tokenOf<Fences>('fences'),
  /** Who coordinates, and what runs where this node does. */
  coordinator: tokenOf<Pick<CoordinatorFeature, 'status' | 'onChange' | 'act'>>('coordinator'),
  messages: tokenOf<Pick<Messages, 'send' | 'receive' | 'inbox' | 'deadLetters' | 'conversations'>>('messages'),
  commands: tokenOf<Commands>('commands'),
} as const
