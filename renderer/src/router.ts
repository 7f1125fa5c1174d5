import { createRouter, createWebHashHistory, type RouterHistory } from 'vue-router';
import { pageFor } from './composables/openpath.ts';
import MachinesView from './views/MachinesView.vue';

/** Hash history: the same files work from a server's folder and from a file in Electron. */
export function makeRouter(history: RouterHistory = createWebHashHistory()) {
  return createRouter({
    history,
    routes: [
      { path: '/', redirect: '/machines' },
      { path: '/machines', name: 'machines', component: MachinesView },
      { path: '/new', name: 'new', component: () => import('./views/NewMachineView.vue') },
      {
        path: '/machines/:id',
        component: () => import('./views/MachineView.vue'),
        children: [
          { path: '', name: 'machine', component: () => import('./views/machine/OverviewTab.vue') },
          { path: 'console', name: 'console', component: () => import('./views/machine/ConsoleTab.vue') },
          { path: 'serial', name: 'serial', component: () => import('./views/machine/SerialTab.vue') },
          { path: 'snapshots', name: 'snapshots', component: () => import('./views/machine/SnapshotsTab.vue') },
          { path: 'hardware', name: 'hardware', component: () => import('./views/machine/HardwareTab.vue') },
          { path: 'performance', name: 'performance', component: () => import('./views/machine/PerformanceTab.vue') },
          { path: 'log', name: 'log', component: () => import('./views/machine/LogTab.vue') },
        ],
      },
      /** A console alone, in its own window. */
      { path: '/console/:id', name: 'console-window', meta: { bare: true }, component: () => import('./views/ConsoleWindowView.vue') },
      { path: '/storage', name: 'storage', component: () => import('./views/StorageView.vue') },
      { path: '/networks', name: 'networks', component: () => import('./views/NetworksView.vue') },
      { path: '/host-devices', name: 'host-devices', component: () => import('./views/HostDevicesView.vue') },
      { path: '/trash', name: 'trash', component: () => import('./views/TrashView.vue') },
      { path: '/host', name: 'host', component: () => import('./views/HostView.vue') },
      { path: '/settings', name: 'settings', component: () => import('./views/SettingsView.vue') },
      { path: '/diagnostics', name: 'diagnostics', component: () => import('./views/DiagnosticsView.vue') },
      { path: '/welcome', name: 'welcome', component: () => import('./views/WelcomeView.vue') },
      { path: '/access', name: 'access', component: () => import('./views/AccessView.vue') },
      { path: '/servers', name: 'servers', component: () => import('./views/ServersView.vue') },
      { path: '/open', name: 'open', redirect: ({ query }) => pageFor(String(query.path ?? '')) },
      { path: '/activity', name: 'activity', redirect: () => ({ name: 'machines', query: { activity: '1' } }) },
      { path: '/about', name: 'about', component: () => import('./views/AboutView.vue') },
      { path: '/:rest(.*)*', name: 'not-found', component: () => import('./views/NotFoundView.vue') },
    ],
  });
}
