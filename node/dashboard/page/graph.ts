/**
 * The mesh as a picture, and as a table for who cannot see it or prefers one. Arrow keys go from node to node.
 * State: which of the two is shown.
 */
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { foldGraph, isGraphFolded } from './board.ts'
import { plural, span } from './format.ts'
import { html, type Markup } from './html.ts'
import { MAX_BODIES } from './layout.ts'
import { linksOf, type MeshNode, STANDING_TEXT, STANDINGS } from './nodes.ts'
import { Crown, Empty, NodeLink, Standing, Table } from './parts.ts'
import { STALE_MS } from './scene.ts'
import { createStage, type Stage } from './stage.ts'
import * as store from './store.ts'

export const isTable = signal(false)
export const toggleTable = (): void => {
  isTable.value = isGraphFolded.value || !isTable.value
  foldGraph(false)
}

const DIRECTIONS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
}

export const sentenceOf = (node: MeshNode): string => {
  const { graph } = store.overview.value ?? {}
  const links = graph === undefined ? 0 : linksOf(graph, node.id).length
  const facts = [
    STANDING_TEXT[node.standing],
    ...(node.self ? ['this node'] : []),
    ...(node.leads ? ['coordinator'] : node.seat === undefined ? [] : [node.seat]),
    node.toldMs === undefined && !node.self ? 'its connections are not known' : plural(links, 'connection'),
  ]
  return `${node.name}: ${facts.join(', ')}`
}

const choose = (node: MeshNode | undefined): void => {
  if (node === undefined) return
  store.selected.value = node.id
  store.spoken.value = sentenceOf(node)
}

const Picture = (): Markup => {
  const canvas = useRef<HTMLCanvasElement>(null)
  const stage = useRef<Stage | undefined>(undefined)
  useEffect(() => {
    if (canvas.current !== null) stage.current = createStage(canvas.current)
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
        <th scope="row" class="wrap">${node.leads && html`<${Crown} /> `}<${NodeLink} id=${node.id} name=${node.name} /></th>
        <td><${Standing} node=${node} /></td>
        <td>${[...(node.self ? ['this node'] : []), ...(node.leads ? ['coordinator'] : node.seat ? [node.seat] : [])].join(', ')}</td>
        <td class="wrap">${
          links.length === 0
            ? node.toldMs === undefined
              ? 'not known'
              : 'nobody'
            : links
                .map(({ id }) => store.nameOf(id))
                .sort()
                .join(', ')
        }</td>
        <td class="muted">${node.self ? 'now' : node.toldMs === undefined ? '–' : `${span(node.toldMs)} ago`}</td>
      </tr>`
    })}
  <//>`
}

const Legend = (): Markup => {
  const { value: nodes } = store.nodes
  const there = STANDINGS.filter((standing) => nodes.some((node) => node.standing === standing))
  const isOld = store.overview.value?.graph.edges.some(({ ageMs = 0 }) => ageMs > STALE_MS) ?? false
  const isUnknown = nodes.some(({ self, toldMs }) => !self && toldMs === undefined)
  return html`<ul class="legend" aria-label="Legend">
    ${there.map((standing) => html`<li><span class=${`dot ${standing}`}></span>${STANDING_TEXT[standing]} <b>${nodes.filter((node) => node.standing === standing).length}</b></li>`)}
    ${nodes.some(({ leads }) => leads) && html`<li><${Crown} />coordinator</li>`}
    ${isUnknown && html`<li><span class="dot hollow"></span>connections not known</li>`}
    ${isOld && html`<li><span class="dash"></span>told over ${span(STALE_MS)} ago</li>`}
  </ul>`
}

export const Graph = (): Markup => {
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
