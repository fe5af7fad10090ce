import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { tellUnloaded } from '$lib/parts';

tellUnloaded();
mount(App, { target: document.getElementById('app')! });
