-- Can be run again: makes only what is not there.
select 'create role {{ postgresql_role }} login'
 where not exists (select from pg_roles where rolname = '{{ postgresql_role }}') \gexec
select $$create database {{ postgresql_database }} owner {{ postgresql_role }}
         encoding 'UTF8' locale 'C.UTF-8' template template0$$
 where not exists (select from pg_database where datname = '{{ postgresql_database }}') \gexec
revoke connect on database {{ postgresql_database }} from public;
