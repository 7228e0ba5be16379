/**
 * What of the page is folded away: the graph, and what is the mesh's own. State: both, which the browser keeps. A graph that
 * nobody folded or unfolded is folded where it would leave no room for the views.
 */
import { computed, signal } from '@preact/signals'
import { storedChoice } from './stored-choice.ts'

const FOLDS = ['open', 'folded'] as const

const small = matchMedia('(max-width: 760px), (max-height: 640px)')
const isSmall = signal(small.matches)
small.addEventListener('change', ({ matches }) => {
  isSmall.value = matches
})

const graph = storedChoice('parley-graph', FOLDS)
export const isGraphFolded = computed(() => (graph.made.value ?? (isSmall.value ? 'folded' : 'open')) === 'folded')
export const foldGraph = (isFolded: boolean): void => {
  if (isFolded !== isGraphFolded.value) graph.make(isFolded ? 'folded' : 'open')
}

/** Where the page is one column it lies below. */
export const showInspector = (): void => {
  requestAnimationFrame(() => document.querySelector('.inspector')?.scrollIntoView({ block: 'nearest' }))
}

const meshOwn = storedChoice('parley-own', FOLDS)
/** Calls and topics of the mesh itself are listed below those of programs. */
export const isMeshOwnOpen = computed(() => meshOwn.made.value === 'open')
export const toggleMeshOwn = (): void => meshOwn.make(isMeshOwnOpen.value ? 'folded' : 'open')
