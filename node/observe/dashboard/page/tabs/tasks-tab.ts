/** The tasks of the mesh: a board by state, and the timeline of the one that is chosen. Keeps no state. */
import { html, type Markup } from '../widgets/html.ts'
import { PartView } from '../widgets/part-view.ts'

export const Tasks = (): Markup => html`<${PartView} part="tasks" view="board" />`
