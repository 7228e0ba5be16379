/**
 * The mesh as a picture, and as a table for who cannot see it or prefers one. Arrow keys go from node to node.
 * State: which of the two is shown, and where the focus was when somebody asked for the picture.
 */
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { plural, span } from '../data/format.ts'
import { linksOf, type MeshNode, NODE_STATE_TEXT, NODE_STATES } from '../data/mesh-nodes.ts'
import { foldGraph, isGraphFolded } from '../state/folding.ts'
import * as store from '../state/page-state.ts'
import { html, type Markup } from '../widgets/html.ts'
import { CoordinatorIcon, Empty, NodeLink, NodeStateBadge, Table } from '../widgets/widgets.ts'
import { MAX_BODIES } from './force-layout.ts'
import { GraphCanvas } from './graph-canvas.ts'
import { STALE_MS } from './graph-scene.ts'

const isTable = signal(false)
export const toggleTable = (): void => {
  isTable.value = isGraphFolded.value || !isTable.value
  foldGraph(false)
}

let awaitedFrom: Element | null = null

/** Whoever asks before the node has answered goes there once there is something, unless the focus went elsewhere. */
const focusAwaited = (canvas: HTMLElement | null): void => {
  if (canvas === null || awaitedFrom === null) return
  if (document.activeElement === awaitedFrom) canvas.focus()
  awaitedFrom = null
}

export const goToGraph = (): void => {
  isTable.value = false
  foldGraph(false)
  awaitedFrom = document.activeElement
  requestAnimationFrame(() => focusAwaited(document.getElementById('graph')))
}

const DIRECTIONS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
}

export const describeNode = (node: MeshNode): string => {
  const { graph } = store.overview.value ?? {}
  const links = graph === undefined ? 0 : linksOf(graph, node.id).length
  const facts = [
    NODE_STATE_TEXT[node.state],
    ...(node.self ? ['this node'] : []),
    ...(node.isCoordinator ? ['coordinator'] : node.raftRole === undefined ? [] : [node.raftRole]),
    node.reportedMs === undefined && !node.self ? 'its connections are not known' : plural(links, 'connection'),
  ]
  return `${node.name}: ${facts.join(', ')}`
}

const choose = (node: MeshNode | undefined): void => {
  if (node === undefined) return
  store.selected.value = node.id
  store.announcement.value = describeNode(node)
}

const Picture = (): Markup => {
  const canvas = useRef<HTMLCanvasElement>(null)
  const stage = useRef<GraphCanvas | undefined>(undefined)
  useEffect(() => {
    const pen = canvas.current?.getContext('2d') ?? undefined
    if (canvas.current !== null && pen !== undefined) stage.current = new GraphCanvas(canvas.current, pen)
    focusAwaited(canvas.current)
    return () => stage.current?.stop()
  }, [])
  const onKeyDown = (event: KeyboardEvent): void => {
    const direction = DIRECTIONS[event.key]
    const { value: nodes } = store.nodes
    if (direction !== undefined) choose(stage.current?.next(...direction))
    else if (event.key === 'Home') choose(nodes.find(({ self }) => self))
    else if (event.key === 'Enter' || event.key === ' ') choose(store.selectedNode.value ?? nodes[0])
    else return
    event.preventDefault()
  }
  const { value: nodes } = store.nodes
  const label = `Graph of the mesh: ${plural(nodes.length, 'node')}. Arrow keys go from node to node, Escape lets go. The button Table shows the same as text.`
  return html`<canvas
    id="graph"
    ref=${canvas}
    tabindex="0"
    role="application"
    aria-roledescription="graph"
    aria-label=${label}
    onKeyDown=${onKeyDown}
  ></canvas>`
}

const Rows = (): Markup => {
  const { graph } = store.overview.value ?? {}
  const columns = [
    { title: 'Node' },
    { title: 'State' },
    { title: 'Part' },
    { title: 'Connected to' },
    { title: 'Told' },
  ]
  return html`<${Table} label="Nodes of the mesh and their connections" columns=${columns}>
    ${store.nodes.value.map((node) => {
      const links = graph === undefined ? [] : linksOf(graph, node.id)
      return html`<tr key=${node.id} aria-selected=${node.id === store.selected.value}>
        <th scope="row" class="wrap">${node.isCoordinator && html`<${CoordinatorIcon} /> `}<${NodeLink} id=${node.id} name=${node.name} /></th>
        <td><${NodeStateBadge} node=${node} /></td>
        <td>${[...(node.self ? ['this node'] : []), ...(node.isCoordinator ? ['coordinator'] : node.raftRole ? [node.raftRole] : [])].join(', ')}</td>
        <td class="wrap">${
          links.length === 0
            ? node.reportedMs === undefined
              ? 'not known'
              : 'nobody'
            : links
                .map(({ id }) => store.nameOf(id))
                .sort()
                .join(', ')
        }</td>
        <td class="muted">${node.self ? 'now' : node.reportedMs === undefined ? '–' : `${span(node.reportedMs)} ago`}</td>
      </tr>`
    })}
  <//>`
}

const Legend = (): Markup => {
  const { value: nodes } = store.nodes
  const states = NODE_STATES.filter((state) => nodes.some((node) => node.state === state))
  const isOld = store.overview.value?.graph.edges.some(({ ageMs = 0 }) => ageMs > STALE_MS) ?? false
  const isUnknown = nodes.some(({ self, reportedMs }) => !self && reportedMs === undefined)
  return html`<ul class="legend" aria-label="Legend">
    ${states.map((state) => html`<li><span class=${`dot ${state}`}></span>${NODE_STATE_TEXT[state]} <b>${nodes.filter((node) => node.state === state).length}</b></li>`)}
    ${nodes.some(({ isCoordinator }) => isCoordinator) && html`<li><${CoordinatorIcon} />coordinator</li>`}
    ${isUnknown && html`<li><span class="dot hollow"></span>connections not known</li>`}
    ${isOld && html`<li><span class="dash"></span>told over ${span(STALE_MS)} ago</li>`}
  </ul>`
}

export const MeshGraph = (): Markup => {
  const { value: overview } = store.overview
  const { length } = store.nodes.value
  const edges = overview?.graph.edges.length ?? 0
  const { value: isFolded } = isGraphFolded
  return html`<section class=${`panel graph ${isFolded ? 'folded' : ''}`} aria-labelledby="graph-title">
    <header>
      <h2 id="graph-title">Mesh</h2>
      <span class="muted">${overview === undefined ? '' : `${plural(length, 'node')}, ${plural(edges, 'connection')}`}</span>
      <${Legend} />
      ${
        !isFolded &&
        html`<button type="button" class="quiet" aria-pressed=${isTable.value} onClick=${toggleTable}>
          ${isTable.value ? 'Picture' : 'Table'}
        </button>`
      }
      <button type="button" class="quiet" aria-expanded=${!isFolded} onClick=${() => foldGraph(!isFolded)}>
        ${isFolded ? 'Unfold' : 'Fold'}<span class="visually-hidden"> the graph</span>
      </button>
    </header>
    ${
      isFolded
        ? ''
        : overview === undefined
          ? html`<${Empty} title="Asking the node …" />`
          : isTable.value
            ? html`<${Rows} />`
            : html`<div class="canvas"><${Picture} /></div>
            ${length > MAX_BODIES && html`<p class="note">${MAX_BODIES} of ${length} nodes are drawn; the table has all.</p>`}
            ${length === 1 && html`<p class="note">Nobody else is here yet. Start another node with <code>parley up --join ${overview.self.addresses[0] ?? 'ADDRESS'}</code></p>`}`
    }
  </section>`
}
