/** The part that tells the mesh what its coordinator has to say: notifications.ts. */
import { definePart, type Loading } from '../part.ts'
import { tokens } from '../tokens.ts'
import type { Notifications } from './notifications.ts'

export const notifications = definePart({
  name: 'notifications',
  description: 'What the coordinator tells everybody, and who believes it.',
  needs: { events: tokens.events, coordinator: tokens.coordinator },
  activate: 'start',
  load: (): Loading<Notifications> => import('./notifications.ts'),
})
